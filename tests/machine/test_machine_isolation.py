"""What a machine can see and do, and what it cannot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rented_machine import SPEC, Rented, Yard

from simulator.machine.sandbox import Isolation

REPOSITORY = Path(__file__).parents[2]


def test_machines_have_a_workspace_each(yard: Yard) -> None:
    one, two = yard.rent(), yard.rent()
    one.output("echo one > /workspace/file")
    assert two.ssh("cat /workspace/file").returncode == 1


def test_a_machine_sees_its_own_processes_only(contained: Rented) -> None:
    listed = contained.output("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done").splitlines()
    assert listed[0].strip() == "/bin/bash /.launch"
    assert 2 <= len(listed) <= 4


def test_a_machine_does_not_see_the_hosts_files(contained: Rented) -> None:
    for path in (contained.root, REPOSITORY):
        assert contained.ssh(f"ls -d {path}").returncode == 2
    assert (
        contained.output("ls -A /home /mnt /media /srv /sys")
        == "/home:\n\n/media:\n\n/mnt:\n\n/srv:\n\n/sys:\n"
    )


def test_a_machine_does_not_inherit_the_hosts_environment(yard: Yard) -> None:
    os.environ["SECRET_OF_THE_HOST"] = "for no machine"
    try:
        machine = yard.rent(onstart="env; cat /proc/1/environ")
    finally:
        del os.environ["SECRET_OF_THE_HOST"]
    assert (
        "SECRET_OF_THE_HOST"
        not in machine.output("env; cat /proc/*/environ | tr '\\0' '\\n'") + machine.host.logs()
    )


def test_the_hosts_programs_are_read_only_and_the_rest_is_the_machines(contained: Rented) -> None:
    for path in ("/usr/bin/new", "/bin/new", "/lib/new", "/etc/ssl/new", "/opt/simulated/image/new"):
        assert b"Read-only file system" in contained.ssh(f"touch {path}").stderr
    contained.output(
        "touch /new /etc/new /opt/new /usr/local/bin/new /var/lib/new /tmp/new /run/new /venv/new"
    )


def test_a_machine_cannot_undo_its_walls(contained: Rented) -> None:
    for command in (
        "mount -o remount,rw /usr",
        "mount -t tmpfs none /mnt",
        "umount /usr",
        "echo 1 > /proc/sys/vm/drop_caches",
        "echo h > /proc/sysrq-trigger",
        "mknod /tmp/disk b 8 0",
        "hostname renamed",
    ):
        assert contained.ssh(command).returncode != 0, command


def test_a_machine_has_no_way_to_the_hosts_network(contained: Rented) -> None:
    program = "import socket; socket.create_connection(('127.0.0.1', {}), timeout=5)"
    done = contained.ssh(f'python3 -c "{program.format(contained.direct)}"')
    assert b"Connection refused" in done.stderr
    assert contained.output("cat /proc/net/dev | tail -n +3 | cut -d: -f1").split() == ["lo"]


def test_python_and_pillow_are_there(machine: Rented) -> None:
    program = "import sys, PIL.Image; print(PIL.Image.new('RGB', (8, 8)).size, sys.version_info[:2])"
    expected = f"(8, 8) {sys.version_info[:2]}\n"
    assert machine.output(f'python3 -c "{program}"') == expected
    venv = f"{machine.workspace}/../venv/main"
    assert machine.output(f'. {venv}/bin/activate && python -c "{program}"') == expected
    assert (
        machine.output(f"{venv}/bin/python -c 'import sys; print(sys.prefix)'").strip().endswith("/venv/main")
    )
    assert (
        machine.ssh("python3 -c 'import pulumi'").returncode == 1 or machine.host.isolation is Isolation.NONE
    )


def test_the_facts_are_those_of_the_offer(machine: Rented) -> None:
    path = "/etc/simulated.json" if machine.host.isolation is not Isolation.NONE else "$SIMULATED_MACHINE"
    facts = json.loads(machine.output(f"cat {path}"))
    gpus = facts.pop("gpus")
    assert [(gpu["name"], gpu["memory_mib"], gpu["driver"], gpu["cuda"]) for gpu in gpus] == [
        (SPEC.gpu_name, SPEC.gpu_ram, SPEC.driver_version, "12.8")
    ] * SPEC.gpu_count
    assert len({gpu["uuid"] for gpu in gpus}) == SPEC.gpu_count
    assert facts.pop("wheels") == machine.host._files.seen_path("/opt/simulated/wheels")
    assert facts.pop("debian").keys() <= {"haproxy", "rclone"}
    assert facts == {
        "scale": 60,
        "inet_down_mbps": 900,
        "inet_up_mbps": 400,
        "disk_gb": 80,
        "cpu_cores": 24,
        "ram_mib": 128000,
        "image": SPEC.image,
        "web": None,
        "faults": [],
    }


def test_nvidia_smi_shows_the_rented_gpus(machine: Rented) -> None:
    listed = machine.output("nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader")
    assert listed.splitlines() == ["NVIDIA A100-SXM4-80GB, 81920 MiB, 570.124.04"] * 2


def test_memory_is_that_of_the_rented_share(contained: Rented) -> None:
    assert contained.output("grep MemTotal /proc/meminfo").split()[1] == str(128000 * 1024)


def test_the_web_is_a_folder_that_is_shown(yard: Yard, isolation: Isolation) -> None:
    web = yard.root / "web"
    (web / "example.com").mkdir(parents=True)
    (web / "example.com" / "model.safetensors").write_text("weights")
    machine = yard.rent(web=web, isolation=isolation)
    path = "/etc/simulated.json" if isolation is not Isolation.NONE else "$SIMULATED_MACHINE"
    folder = json.loads(machine.output(f"cat {path}"))["web"]
    assert machine.output(f"cat {folder}/example.com/model.safetensors") == "weights"


@pytest.mark.skipif(not shutil.which("haproxy"), reason="no haproxy: apt-get install haproxy")
def test_what_apt_installs_is_not_there_before(contained: Rented) -> None:
    assert contained.ssh("haproxy -v").returncode == 126
    contained.output("apt-get install -y haproxy")
    assert "HAProxy" in contained.output("haproxy -v")


@pytest.mark.parametrize(
    ("image", "directory"),
    [
        ("vastai/pytorch:2.7.1", "/venv/main/bin"),
        ("vastai/kohya:v25", "/workspace/kohya_ss/sd-scripts/library"),
        ("vastai/comfy:v0.8.2-cuda-12.9-py312", "/opt/workspace-internal/ComfyUI/models/loras"),
        ("docker.io/vastai/base-image:cuda-12.8", "/venv/main/bin"),
    ],
)
def test_images_bring_their_folders(yard: Yard, image: str, directory: str) -> None:
    assert yard.rent(image=image).ssh(f"test -d {directory}").returncode == 0


def test_a_bare_image_brings_no_folders(yard: Yard) -> None:
    assert (
        yard.rent(image="ubuntu:24.04").output("ls -A /workspace /venv 2>/dev/null || true")
        == "/workspace:\n"
    )


def test_what_a_customer_did_to_an_image_stays(yard: Yard) -> None:
    machine = yard.rent(image="vastai/kohya:v25")
    machine.output("rm -r /workspace/kohya_ss/sd-scripts/library; echo 'alias x=y' > ~/.bashrc")
    machine.stop()
    machine.start()
    assert (
        machine.output("ls /workspace/kohya_ss/sd-scripts | grep library || cat ~/.bashrc") == "alias x=y\n"
    )


BOOT = """
import asyncio, ctypes, logging, os, subprocess, sys
from pathlib import Path
{before}
sys.path.insert(0, {tests!r})
from rented_machine import SPEC
from simulator.clock import Clock
from simulator.machine.host import Machine

async def main():
    machine = Machine(SPEC, Clock(), Path({root!r}))
    machine.set_authorized_keys([Path({key!r}).read_text()])
    await machine.start()
    client = await asyncio.create_subprocess_exec(
        "ssh", "-F", "none", "-i", {key!r}.removesuffix(".pub"), "-o", "BatchMode=yes",
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        "-p", str(machine.ports["22/tcp"]), "root@127.0.0.1", "touch $WORKSPACE/it; ls -A $WORKSPACE",
        stdout=subprocess.PIPE,
    )
    print(machine.isolation.name, (await client.communicate())[0].decode())
    await machine.destroy()

logging.basicConfig(format="%(levelname)s %(message)s")
asyncio.run(main())
"""
WITHOUT_CAPABILITIES = """
for capability in {*range(64)} - {31}:  # root may not even map itself without CAP_SETFCAP
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
if "again" not in sys.argv:
    os.execv(sys.executable, [*sys.orig_argv, "again"])
"""
WITHOUT_USER_NAMESPACES = """
if "again" not in sys.argv:
    user, group = os.geteuid(), os.getegid()
    if ctypes.CDLL(None).unshare(0x10000000):  # CLONE_NEWUSER
        sys.exit("no user namespaces to begin with")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
"""


def boot(before: str, yard: Yard) -> subprocess.CompletedProcess[str]:
    """Boot a machine in a process that has given up some of its rights before."""
    program = BOOT.format(
        before=before,
        tests=str(Path(__file__).parent),
        root=str(yard.root / "m"),
        key=str(yard.key.with_suffix(".pub")),
    )
    argv = [sys.executable, "-c", program]
    return subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)


def test_without_privileges_machines_get_user_namespaces(yard: Yard) -> None:
    done = boot(WITHOUT_CAPABILITIES, yard)
    if "shares this host's files" in done.stderr:
        pytest.skip("no user namespaces for ordinary users here")
    assert (done.stdout, done.stderr) == ("USER_NAMESPACES it\n\n", "")


def test_without_any_namespaces_machines_run_on_the_host_and_say_so(yard: Yard) -> None:
    done = boot(WITHOUT_USER_NAMESPACES + WITHOUT_CAPABILITIES, yard)
    if "no user namespaces to begin with" in done.stderr:
        done = boot(WITHOUT_CAPABILITIES, yard)
    assert done.stdout == "NONE it\n\n"
    assert done.stderr.startswith(
        "WARNING machine 4711 shares this host's files and network: no container with"
    )
    assert done.stderr.count("\n") == 1
