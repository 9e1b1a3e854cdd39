"""What puts ComfyUI on a machine, in one of three ways. Pure.

`template` uses what Vast.ai's ComfyUI image brings, and ends its services; `own` makes an environment on any
image with CUDA's driver, with ComfyUI at one pinned version; `image` takes it as the named image has it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.remote.job import Job
from components.remote.package import needed
from components.remote.python import OWN_TORCH, STAGES, image_torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.spec.infer import ComfyUI
    from components.spec.source import Git

VERSION: Final = "v0.3.64"
"""The release whose API, nodes and flags were recorded."""

_COMMIT: Final = "a125cd8"
_UNTIL: Final = "2025-10-20"
"""No package of a later day is taken: with the transformers of 2026 that release dies at its first import."""


@dataclass(frozen=True)
class Comfy:
    """ComfyUI on a machine; paths are relative to the workspace, or absolute.

    Attributes:
        install: the job that makes all of this be there, custom nodes too.
        python: the interpreter that runs it.
        folder: its checkout.
    """

    install: Job
    python: str
    folder: str


def comfy(spec: ComfyUI) -> Comfy:
    """Return the ComfyUI that is installed as `spec` says."""
    if spec.install == "own":
        venv, folder = "comfyui-venv", "ComfyUI"
        first = [STAGES, OWN_TORCH, _CHECKOUT, _REQUIREMENTS]
    elif spec.install == "template":
        venv, folder = "/venv/main", "ComfyUI"
        first = [image_torch("ComfyUI", "$comfyui/main.py", "comfyui", "api-wrapper"), STAGES]
    else:
        venv, folder = str(spec.environment), str(spec.folder)
        first = [_PRESENT, STAGES]
    script = (
        f"{needed('command -v git && command -v curl', 'git', 'curl', 'ca-certificates')}\n"
        f"venv=$(realpath -m {shlex.quote(venv)}) comfyui=$(realpath -m {shlex.quote(folder)})\n"
        f"{''.join(first)}{_custom_nodes(spec.custom_nodes)}{_CHECK}"
    )
    return Comfy(Job("comfyui-install", script), f"{venv}/bin/python", folder)


def _custom_nodes(nodes: Iterable[Git]) -> str:
    """Return what makes ComfyUI have `nodes`, each at its commit, and none that was declared once."""
    named = {_name(each): each for each in nodes}
    keep = "".join(f" ! -name {shlex.quote(name)}" for name in named)
    script = f"""mkdir -p $comfyui/custom_nodes .fragua
$venv/bin/python -c 'import torch; print(f"torch=={{torch.__version__}}")' > .fragua/nodes-constraints.txt
constraints=$PWD/.fragua/nodes-constraints.txt
# what was declared once and is no more
find $comfyui/custom_nodes -mindepth 1 -maxdepth 1 -type d{keep} -exec test -e '{{}}/.fragua-nodes' \\; \\
  -exec rm -rf '{{}}' +
"""
    for name, each in named.items():
        folder = f"$comfyui/custom_nodes/{shlex.quote(name)}"
        script += f"""folder={folder}
do_nodes() {{
  rm -rf $folder
  git init --quiet $folder
  git -C $folder remote add origin {shlex.quote(each.url)}
  again git -C $folder fetch --quiet --depth 1 origin {each.commit}
  git -C $folder checkout --quiet FETCH_HEAD
  [ ! -e $folder/requirements.txt ] || (cd $folder && packages --constraint $constraints -r requirements.txt)
}}
stage $folder nodes {shlex.quote(f"{name} {each.commit}")}
"""
    return script


def _name(nodes: Git) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", nodes.url.rstrip("/").rpartition("/")[2].removesuffix(".git"))


_CHECKOUT: Final = f"""do_comfyui() {{
  rm -rf $comfyui
  git init --quiet $comfyui
  git -C $comfyui remote add origin https://github.com/comfyanonymous/ComfyUI
  again git -C $comfyui fetch --quiet --depth 1 origin tag {VERSION}
  git -C $comfyui checkout --quiet FETCH_HEAD
  head=$(git -C $comfyui rev-parse HEAD)
  case $head in
    {_COMMIT}*) ;;
    *) echo "the tag {VERSION} is at $head, not at {_COMMIT}: it was moved"; exit 1 ;;
  esac
}}
stage $comfyui comfyui {VERSION}
"""

_REQUIREMENTS: Final = f"""do_requirements() {{
  packages torchaudio==$torch --index-url $index
  printf '%s\\n' torch==$torch torchvision==$vision > .fragua/comfyui-constraints.txt
  # it imports requests, and does not say so
  packages --constraint .fragua/comfyui-constraints.txt --exclude-newer {_UNTIL} \\
    -r $comfyui/requirements.txt requests
}}
mkdir -p .fragua
stage $venv requirements "ComfyUI {VERSION} of {_UNTIL}, torch $torch"
"""

_PRESENT: Final = """for file in $comfyui/main.py $venv/bin/python; do
  [ -e $file ] || {
    echo "node.image has no $file: correct comfyui.folder and comfyui.environment, or take another install"
    exit 1
  }
done
"""

_CHECK: Final = """[ -e $comfyui/main.py ] || {
  echo "there is no $comfyui/main.py: node.image is not Vast.ai's ComfyUI image; take it, or install: own"
  exit 1
}
$venv/bin/python - <<'END'
import sys
import torch
if not torch.cuda.is_available():
    sys.exit(f"torch {torch.__version__} sees no CUDA GPU: the driver is too old for it, or the GPU is gone")
for index in range(torch.cuda.device_count()):
    torch.ones(1, device=f"cuda:{index}").item()
print(f"installed: torch {torch.__version__} computes on {torch.cuda.device_count()} GPU")
END
"""
