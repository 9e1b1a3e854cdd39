"""A training as it is started: once, and again from where an interruption left it. Pure.

A run is trained in parts, each one launch of the trainer with an output folder of its own.
"""

from __future__ import annotations

import shlex
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from components.kohya.arguments import flags
from components.kohya.options import Script
from components.kohya.resume import continued
from components.spec.base import Spec

if TYPE_CHECKING:
    from components.kohya.ledger import Point

_ENVIRONMENT: Final = "export PYTHONUNBUFFERED=1 PYTHONIOENCODING=utf-8 TQDM_MININTERVAL=1 COLUMNS=200"


class Variant(Spec):
    """One way of fitting a training into the VRAM.

    Attributes:
        options: of the command, without what names places or epochs of a part.
        dataset: sd-scripts' dataset file.
        why: what is different from the way before, for a person; empty for the first.
    """

    options: dict[str, Any]
    dataset: str
    why: str = ""


class Launch(Spec):
    """Everything that starting a run, or going on with it, takes.

    Attributes:
        run: identifies it.
        script: of sd-scripts.
        words: the command up to the script, and the script.
        epochs: of the whole run.
        processes: GPUs that train together.
        variants: the first is meant; the next ones need less VRAM, and are there if the job allows them.
        prompts: the file of sample prompts; empty for none.
        tensorboard: the program on the machine that shows the run's logs.
        settings: the job with what was derived filled in, as JSON, for the run's record.
        derived: what was derived, and why.
        dataset: digest of its files, or of where they come from.
        base_model: its SHA-256, or where it comes from.
        caches: identifies all that encoded images and captions on the disk depend on.
        bucket: where the machine pushes its saves, as rclone names it; empty for nowhere.
    """

    run: str
    script: Script
    words: tuple[str, ...]
    epochs: int
    processes: int
    variants: tuple[Variant, ...]
    prompts: str
    tensorboard: str
    settings: dict[str, Any]
    derived: tuple[str, ...]
    dataset: str
    base_model: str
    caches: str
    bucket: str = ""

    @property
    def folder(self) -> str:
        """Where the run lies in the workspace."""
        return f"runs/{self.run}"

    @property
    def logs(self) -> str:
        """Where TensorBoard's events of all parts lie in the workspace."""
        return f"{self.folder}/logs"

    def command(self, index: int, point: Point, variant: Variant) -> list[str] | None:
        """Return the words that train part `index` from `point`; None where nothing is left to train."""
        options = {
            **variant.options,
            "dataset_config": f"{self.folder}/dataset.toml",
            "output_dir": f"{self.folder}/part-{index}",
            "logging_dir": f"{self.folder}/logs/part-{index}",
        }
        if self.prompts:
            options["sample_prompts"] = f"{self.folder}/prompts.txt"
        left = continued(self.script, options, point.under(self.folder), self.processes)
        return None if left is None else [*self.words, *flags(left)]

    def part(self, index: int, point: Point, variant: Variant) -> str | None:
        """Return the script that trains part `index` from `point`; None where nothing is left to train.

        Encoded images and captions beside the images do not know what they were made from: those of another
        base model or dataset are removed.
        """
        command = self.command(index, point, variant)
        if command is None:
            return None
        return f"""{_ENVIRONMENT}
mkdir -p {self.folder}
{_written(f"{self.folder}/dataset.toml", variant.dataset)}
{_written(f"{self.folder}/prompts.txt", self.prompts)}
if [ "$(cat .fragua/caches 2>/dev/null)" != {self.caches} ]; then
  find dataset \\( -name '*_sdxl.npz' -o -name '*_te_outputs.npz' \\) -delete
  echo {self.caches} > .fragua/caches
fi
exec {shlex.join(command)}
"""


def _written(path: str, text: str) -> str:
    mark = f"END-{sha256(text.encode()).hexdigest()[:16]}"
    return f"cat > {path} <<'{mark}'\n{text}{mark}"
