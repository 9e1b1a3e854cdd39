"""A Python environment with torch on a machine: made for its GPU, or that of an image of Vast.ai. Pure.

Pieces of a job's script, which sets `venv` first. Each stage leaves a stamp with what it did in the folder
that it filled, so that a repeated run does what is missing only.
"""

from __future__ import annotations

from typing import Final

_PROVISIONING_MINUTES: Final = 20

STAGES: Final = """export UV_HTTP_TIMEOUT=300 UV_LINK_MODE=copy
export PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PATH=$venv/bin:$HOME/.local/bin:$PATH
# FOLDER NAME WHAT: fill FOLDER by do_NAME, unless its stamp says that WHAT is there
stage() {
  local stamp=$1/.fragua-$2
  if [ "$(cat "$stamp" 2> /dev/null)" = "$3" ]; then
    echo "$2: there already: $3"
    return
  fi
  echo "$2: $3"
  rm -f "$stamp"
  "do_$2"
  echo "$3" > "$stamp"
}
# the internet hiccups
again() {
  local pause
  for pause in 5 20 60; do
    if "$@"; then return; fi
    echo "$1 failed: trying again in $pause s"
    sleep $pause
  done
  "$@"
}
command -v uv > /dev/null || pip3 install --quiet uv==0.8.22
packages() { uv pip install --python $venv/bin/python "$@"; }
"""
"""Defines `stage`, `again` and `packages`, which installs into the environment by uv."""

OWN_TORCH: Final = """cards=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader) || {
  echo "nvidia-smi shows no GPU: $cards"
  exit 1
}
capability=$(sort -V <<< "$cards" | tail -n 1)
# Blackwell, which torch 2.6 has no kernels for
if [ "${capability%%.*}" -ge 10 ]; then torch=2.8.0 vision=0.23.0 cuda=cu128
else torch=2.6.0 vision=0.21.0 cuda=cu124; fi
index=https://download.pytorch.org/whl/$cuda
do_torch() {
  rm -rf $venv
  uv venv --quiet --python '>=3.10,<3.13' $venv
  packages torch==$torch torchvision==$vision --index-url $index
}
# what an earlier run left is not believed where it does not work
if [ -e $venv/.fragua-torch ] && ! $venv/bin/python -c 'import torch, torchvision'; then rm -rf $venv; fi
stage $venv torch "torch $torch, torchvision $vision, $cuda"
"""
"""Makes the environment; sets `torch`, `vision`, `cuda` and torch's own `index`."""


def image_torch(image: str, file: str, *services: str) -> str:
    """Return what waits for Vast.ai's image of that name, ends its services, and sets `torch` and `index`.

    Where SSH is asked for, Vast.ai starts no entrypoint; without it the image does not lay out its workspace.
    The `file` is there once it has.
    """
    return f"""entry=
if [ ! -e {file} ] && [ ! -e /.provisioning ] && command -v entrypoint.sh > /dev/null; then
  echo "starting the image"
  setsid entrypoint.sh > /var/log/entrypoint.log 2>&1 < /dev/null 9>&- & entry=$!
fi
for second in $(seq {_PROVISIONING_MINUTES * 60}); do
  if [ ! -e /.provisioning ]; then
    if [ -e {file} ] || [ -z "$entry" ] || ! kill -0 $entry 2> /dev/null; then break; fi
  fi
  [ $second -gt 1 ] || echo "waiting for the image to provision itself"
  sleep 1
done
if [ -e /.provisioning ]; then
  echo "the image still provisions itself after {_PROVISIONING_MINUTES} minutes: see /var/log/portal"
  exit 1
fi
if [ ! -x $venv/bin/python ]; then
  echo "$venv is missing: node.image is not Vast.ai's {image} image; take it, or let fragua install of" \\
    "its own"
  exit 1
fi
# of no use to us, and it is no error if they are not there or stopped
supervisorctl stop {" ".join(services)} || true
build=$($venv/bin/python -c 'import torch; print(torch.__version__)')
torch=${{build%%+*}} index=https://download.pytorch.org/whl/${{build##*+}}
echo "torch: the image's, $build"
"""
