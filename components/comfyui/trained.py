"""A checkpoint that a stack has trained, found where its runs are kept on this computer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.comfyui.models import demand
from components.errors import SpecError
from components.record.checkpoint import CheckpointDamaged, read_metadata
from components.remote.manifest import known_hashes
from components.remote.model import uploaded

if TYPE_CHECKING:
    from components.spec.models import ServedModel

_NUMBERED: Final = re.compile(r".*-(\d{6})\.safetensors")


def trained(key: str, source: ServedModel, runs: Path, current: str | None) -> dict[str, str]:
    """Return where the checkpoint lies here, `source`, and where it goes in a machine's workspace, `path`.

    Args:
        key: of the model in `models:`, such as `loras.cat`.
        source: which checkpoint of which run.
        runs: the folder of the stack's runs.
        current: the folder of the run that the stack is on; None where it is not up.

    Raises:
        SpecError: there is none, it is damaged, no model of that kind, or not the demanded one.
    """
    try:
        home = runs / source.run if source.run else Path(current) if current else _newest(runs)
        file = checkpoint(home, source.epoch)
        is_lora = read_metadata(file).get("modelspec.architecture", "").endswith("/lora")
    except (SpecError, CheckpointDamaged) as error:
        raise SpecError(f"models.{key}: {error}") from None
    fits = ("loras",) if is_lora else ("checkpoint", "refiner")
    if key.partition(".")[0] not in fits:
        kind = "a LoRA" if is_lora else "no LoRA, but a whole model"
        raise SpecError(f"models.{key}: {file} is {kind}: it belongs under models.{fits[0]}")
    [digest] = known_hashes([file])
    demand(key, source, str(file), digest)
    return {"source": str(file), "path": uploaded(file.name, digest).path}


def checkpoint(home: Path, epoch: int | None) -> Path:
    """Return the checkpoint in the folder of a run after that `epoch`, or the last one.

    Raises:
        SpecError: it is not there.
    """
    found = {_epoch(path): path for path in home.glob("*.safetensors")}
    watch = f"bring it home first: ./fragua watch {home.parent.name}"
    if not found:
        raise SpecError(f"{home} has no checkpoint; {watch}")
    if epoch is None:
        return found.get(None) or found[max(each for each in found if each)]
    if epoch in found:
        return found[epoch]
    if None in found and read_metadata(found[None]).get("ss_epoch") == str(epoch):
        return found[None]
    there = ", ".join(str(each) for each in sorted(each for each in found if each)) or "the last one only"
    raise SpecError(f"{home} has no checkpoint of epoch {epoch}; there is: {there}; {watch}")


def _epoch(path: Path) -> int | None:
    """Return the epoch in a checkpoint's name; the last one's has none."""
    number = _NUMBERED.fullmatch(path.name)
    return int(number[1]) if number else None


def _newest(runs: Path) -> Path:
    folders = {path.parent for path in runs.glob("*/*.safetensors")}
    if not folders:
        raise SpecError(
            f"{runs} has no run with a checkpoint: train the stack {runs.name} first, and bring home what it "
            f"made by ./fragua watch {runs.name}"
        )
    return max(folders, key=lambda folder: max(path.stat().st_mtime for path in folder.glob("*.safetensors")))
