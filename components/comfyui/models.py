"""Where the models of an inference job lie on a machine, and under which names ComfyUI finds them. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from components.remote.model import model, uploaded

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
    """
    for key, source in models.sources().items():
        kind, _, name = key.partition(".")
        folder = _KINDS[kind]
        named = f"{name}.safetensors" if name else _name(kind, source)
        if source.train:
            yield Placed(key, folder, named, None, None)
        elif source.local:
            yield Placed(key, folder, named, uploaded(source.local, hashes[key]).path, None)
        else:
            found = model(source, f"model-{key.replace('.', '-')}", f"models.{key}", token=token)
            yield Placed(key, folder, named, found.path, found.job)


def _name(kind: str, source: ServedModel) -> str:
    """Return the file's own name, after what it is: two parts may have files of one name."""
    url = unquote(urlsplit(source.url or "").path)
    own = source.file or source.local or source.path or url or f"{source.train}.safetensors"
    return f"{kind}-{PurePosixPath(own).name}"


def links_script(comfyui: str, links: Mapping[str, str]) -> str:
    """Return a script that makes ComfyUI see the models, and no longer those that it was given before.

    A file of a person's own under such a name is left, and named.

    Args:
        comfyui: its folder, relative to the workspace or absolute.
        links: by its path in ComfyUI's `models`, where each lies in the workspace.
    """
    there = "".join(
        f"model {shlex.quote(link)} {shlex.quote(path)}\n" for link, path in sorted(links.items())
    )
    return f"""set -euo pipefail
models=$(realpath -m {shlex.quote(comfyui)})/models
model() {{
  local target
  target=$(realpath -m "$2")
  if [ ! -s "$target" ]; then
    echo "the model $1 is not there: $target is missing or empty" >&2
    exit 1
  fi
  mkdir -p "$models/$(dirname "$1")"
  if [ -e "$models/$1" ] && [ ! -L "$models/$1" ]; then
    echo "$models/$1 is a file of its own: move it away" >&2
    exit 1
  fi
  ln -sfn "$target" "$models/$1.new"
  mv -T "$models/$1.new" "$models/$1"
  echo "$1" >> {_OURS}.new
}}
mkdir -p .fragua
: > {_OURS}.new
{there}touch {_OURS}
while IFS= read -r gone; do
  if [ -L "$models/$gone" ]; then rm "$models/$gone"; fi
done < <(grep -vxF -f {_OURS}.new {_OURS} || true)
mv {_OURS}.new {_OURS}
"""
