"""Where the models of an inference job lie on a machine, and under which names ComfyUI finds them. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from components.comfyui.gateway import COMFYUI_PORT
from components.errors import SpecError
from components.remote.model import check, model, plain_name, uploaded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.remote.job import Job
    from components.spec.models import Models, ServedModel

_KINDS: Final = {
    "checkpoint": "checkpoints",
    "refiner": "checkpoints",
    "vae": "vae",
    "upscaler": "upscale_models",
    "loras": "loras",
}
"""ComfyUI's folder for each part of `models:`."""

_OURS: Final = ".fragua/models.linked"


@dataclass(frozen=True)
class Placed:
    """A model on a machine.

    Attributes:
        key: its path in `models:`, such as `checkpoint` or `loras.cat`.
        kind: ComfyUI's folder for it.
        name: the file's name in that folder.
        path: where it lies in the workspace; None where that is known only once another stack is read.
        job: what downloads or checks it; None where it is uploaded.
    """

    key: str
    kind: str
    name: str
    path: str | None
    job: Job | None

    @property
    def link(self) -> str:
        """The file's path in ComfyUI's `models`."""
        return f"{self.kind}/{self.name}"


def placed(models: Models, hashes: Mapping[str, str], *, token: bool) -> Iterator[Placed]:
    """Yield each of `models`.

    Args:
        models: the job's.
        hashes: SHA-256 of those on this computer, by key.
        token: whether there is a token for Hugging Face.

    Raises:
        SpecError: one on this computer has not the demanded SHA-256.
    """
    for key, source in models.sources().items():
        kind, _, name = key.partition(".")
        folder = _KINDS[kind]
        named = f"{name}.safetensors" if name else _name(kind, source)
        if source.train:
            yield Placed(key, folder, named, None, None)
        elif source.local:
            demand(key, source, source.local, hashes[key])
            yield Placed(key, folder, named, uploaded(source.local, hashes[key]).path, None)
        else:
            found = model(source, f"model-{key.replace('.', '-')}", f"models.{key}", token=token)
            yield Placed(key, folder, named, found.path, found.job)


def demand(key: str, source: ServedModel, file: str, sha256: str) -> None:
    """Hold a file on this computer to the SHA-256 that the job demands, if it does.

    Raises:
        SpecError: it has another.
    """
    if source.sha256 not in (None, sha256):
        raise SpecError(
            f"models.{key}.sha256: {file} has {sha256}, not {source.sha256}: correct it or the source"
        )


def file_name(source: ServedModel) -> str:
    """Return the name of the file where it comes from, by which workflows may know it."""
    url = unquote(urlsplit(source.url or "").path)
    return PurePosixPath(source.file or source.local or source.path or url or source.train or "").name


def _name(kind: str, source: ServedModel) -> str:
    """Return the file's own name, after what it is: two parts may have files of one name.

    ComfyUI sees no file without an ending, such as an address that ends in a number would give.
    """
    name, ending = plain_name(file_name(source), source.ENDINGS)
    return f"{kind}-{name}{ending}"


def links_script(comfyui: str, links: Mapping[str, str]) -> str:
    """Return a script that makes ComfyUI see the models, and no longer those that it was given before.

    Where one is missing or damaged, or a person's own file or link has its name, all such are named and
    nothing is changed. ComfyUI keeps what it has loaded by the file's name alone: where it runs and a
    name means another model now, it is made to forget, after the prompt that it is at.

    Args:
        comfyui: its folder, relative to the workspace or absolute.
        links: by its path in ComfyUI's `models`, where each lies in the workspace.
    """
    pairs = [(shlex.quote(link), shlex.quote(path), path) for link, path in sorted(links.items())]
    checks = "".join(f"{check(path)}\nexamine {link} {target}\n" for link, target, path in pairs)
    makes = "".join(f"link {link} {target}\n" for link, target, _ in pairs)
    return f"""set -euo pipefail
models=$(realpath -m {shlex.quote(comfyui)})/models ours={_OURS} wrong= changed=
wrong() {{
  echo "$1" >&2
  wrong=yes
}}
examine() {{
  local target reason
  target=$(realpath -m "$2")
  if [ ! -f "$target" ]; then
    wrong "the model $1 is not there: put $target back, or rent anew by \\`pulumi up --replace\\`"
  elif ! reason=$(check "$target" 2>&1); then
    wrong "the model $1 cannot be loaded: $target: $reason"
  fi
  if [ -e "$models/$1" ] || [ -L "$models/$1" ]; then
    [ -L "$models/$1" ] && grep -qxF "$1" $ours || wrong "$models/$1 is not fragua's: move it away"
  fi
}}
link() {{
  local target
  target=$(realpath -m "$2")
  if [ "$(readlink "$models/$1")" = "$target" ]; then return; fi
  if [ -L "$models/$1" ]; then changed=yes; fi
  mkdir -p "$models/$(dirname "$1")"
  ln -sfn "$target" "$models/$1.new"
  mv -T "$models/$1.new" "$models/$1"
}}
mkdir -p .fragua
touch $ours
{checks}[ -z "$wrong" ] || exit 1
cat > $ours.new <<'END'
{"".join(f"{link}{chr(10)}" for link in sorted(links))}END
sort -u $ours $ours.new > $ours.all
mv $ours.all $ours  # so that what is linked is known to be ours, should this script be broken off
{makes}while IFS= read -r gone; do
  if [ -L "$models/$gone" ]; then rm "$models/$gone"; fi
  changed=yes
done < <(grep -vxF -f $ours.new $ours || true)
mv $ours.new $ours
if [ "$changed" ]; then
  curl -sf -m 10 -H 'Content-Type: application/json' -d '{{"unload_models": true, "free_memory": true}}' \\
    http://127.0.0.1:{COMFYUI_PORT}/free || [ $? = 7 ] || kill -TERM "$(cat .fragua/comfyui.pid)"
fi
"""
