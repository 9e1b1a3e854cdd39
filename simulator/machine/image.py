"""What an image brings: its programs, its Python, its workspace, and the facts about the machine.

The programs themselves live in `simulator/image`; here they are only put in their places.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

from simulator.machine.filesystem import PROGRAMS, link

if TYPE_CHECKING:
    from simulator.machine.filesystem import Files
    from simulator.machine.spec import MachineSpec

ACTIVATE = """export VIRTUAL_ENV={venv}
export PATH="$VIRTUAL_ENV/bin:$PATH"
deactivate() {{ PATH="${{PATH#"$VIRTUAL_ENV/bin:"}}"; unset VIRTUAL_ENV; unset -f deactivate; }}
"""
ENTRYPOINT = """#!/bin/bash
# Boots the image's services, provisioning first; like the real one it does not return.
touch {mark}
cp -rn {internal}/. {workspace}/ 2> /dev/null
python3 -IS -c 'import sys; sys.path.insert(0, "{packages}")
from programs import supervisorctl
supervisorctl.boot("{mark}")'
exec sleep infinity
"""


def install(files: Files, spec: MachineSpec) -> None:
    """Put the image of `spec` into a machine's tree; what is there already is kept."""
    files.install_python("/usr/local")
    programs = files.host_path("/usr/local/bin")
    for program in sorted((PROGRAMS / "bin").glob("*")):
        if program.name == "uv" and not is_vast_image(spec.image):
            continue
        link(programs / program.name, files.seen_path(f"/opt/simulated/image/bin/{program.name}"))
    if is_vast_image(spec.image):
        _install_vast(files)
    repository = spec.image.partition(":")[0]
    if "kohya" in repository:
        if is_vast_image(spec.image):
            _fill_environment(files, "kohya_image")
        scripts = files.host_path("/workspace/kohya_ss/sd-scripts")
        if not scripts.exists():
            shutil.copytree(PROGRAMS / "sd-scripts", scripts, symlinks=True)
    if "comfy" in repository:
        if is_vast_image(spec.image):
            _fill_environment(files, "comfy_image")
        # a plain image has it in place; Vast's lays out its workspace only when its entrypoint runs
        vast = is_vast_image(spec.image)
        checkout = files.host_path(f"{'/opt/workspace-internal' if vast else '/workspace'}/ComfyUI")
        if not checkout.exists():
            shutil.copytree(PROGRAMS / "comfyui", checkout)


def is_vast_image(image: str) -> bool:
    """Return whether an image is one of Vast.ai's own."""
    return image.removeprefix("docker.io/").startswith("vastai/")


def environment(files: Files, spec: MachineSpec) -> dict[str, str]:
    """Return the variables that the image itself sets."""
    return {"WORKSPACE": files.seen_path("/workspace")} if is_vast_image(spec.image) else {}


def write_facts(files: Files, spec: MachineSpec, scale: float) -> None:
    """Tell the image's programs what machine they are on; `scale` is the clock's."""
    web = files.host_path("/opt/simulated/web")
    facts = {
        "gpus": [
            {
                "name": spec.gpu_name,
                "memory_mib": spec.gpu_ram,
                "driver": spec.driver_version,
                "cuda": str(spec.cuda_max_good),
                "uuid": f"GPU-{uuid.uuid5(uuid.NAMESPACE_OID, f'{spec.contract_id}/{index}')}",
            }
            for index in range(spec.gpu_count)
        ],
        "scale": scale,
        "inet_down_mbps": spec.inet_down,
        "inet_up_mbps": spec.inet_up,
        "disk_gb": spec.disk,
        "cpu_cores": spec.cpu_cores,
        "ram_mib": spec.ram,
        "image": spec.image,
        "web": files.seen_path("/opt/simulated/web") if web.is_dir() else None,
        "wheels": files.seen_path("/opt/simulated/wheels"),
        "debian": files.debian(),
        "faults": sorted(spec.faults),
    }
    file = files.host_path("/etc/simulated.json")
    new = file.with_suffix(".new")
    new.write_text(json.dumps(facts, indent=1))
    new.replace(file)


def _install_vast(files: Files) -> None:
    files.install_python("/venv/main")
    venv = files.seen_path("/venv/main")
    (files.host_path("/venv/main") / "bin/activate").write_text(ACTIVATE.format(venv=venv))
    entrypoint = files.host_path("/usr/local/bin/entrypoint.sh")
    packages = files.seen_path("/opt/simulated/image/lib/dist-packages")
    entrypoint.write_text(
        ENTRYPOINT.format(
            mark=files.seen_path("/.provisioning"),
            packages=packages,
            internal=files.seen_path("/opt/workspace-internal"),
            workspace=files.seen_path("/workspace"),
        )
    )
    entrypoint.chmod(0o755)
    bashrc = files.host_path("/root/.bashrc")
    if not bashrc.exists():
        bashrc.write_text('[ -z "$PS1" ] && return\n. "$(dirname "$HOME")/venv/main/bin/activate"\n')


def _fill_environment(files: Files, build: str) -> None:
    """Fill the environment as the image's build did, unless that was done for this way to see it."""
    venv, seen = files.host_path("/venv/main"), files.seen_path("/venv/main")
    mark = venv / "filled-for"
    if mark.exists() and mark.read_text() == seen:
        return
    packages = PROGRAMS / "lib/dist-packages"
    subprocess.run(
        [sys.executable, "-m", f"programs.{build}", str(venv), seen],
        env={**os.environ, "PYTHONPATH": str(packages)},
        check=True,
    )
    mark.write_text(seen)
