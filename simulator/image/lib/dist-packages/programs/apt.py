"""`apt-get` and `apt`: `update`, and `install` of the packages that a training machine is given."""

from __future__ import annotations

from pathlib import Path

from hardware import clock, link
from hardware.facts import machine, run_file

from programs.console import fail, say

# package -> megabytes
_PACKAGES = {
    "aria2": 2, "build-essential": 60, "ca-certificates": 1, "curl": 1, "ffmpeg": 90, "git": 8,
    "git-lfs": 4, "haproxy": 2, "htop": 1, "iproute2": 1, "jq": 1, "less": 1, "libgl1": 1, "libglib2.0-0": 2,
    "libgl1-mesa-glx": 1, "libtcmalloc-minimal4": 1, "lsof": 1, "nano": 1, "ncdu": 1, "nvtop": 1,
    "openssh-server": 2, "pciutils": 1, "procps": 1, "psmisc": 1, "pv": 1, "python3-pip": 3,
    "python3-venv": 1, "python3-dev": 5, "rclone": 15, "rsync": 1, "screen": 1, "tini": 1, "tmux": 1,
    "tree": 1, "unzip": 1, "vim": 12, "wget": 1, "zip": 1, "zstd": 1,
}  # fmt: skip
_REAL = {"haproxy"}  # which no stand-in can stand for: known where this host has it
_PRESENT = {
    "ca-certificates",
    "curl",
    "git",
    "less",
    "openssh-server",
    "procps",
    "python3-venv",
    "rsync",
    "tmux",
    "wget",
}


def main(arguments: list[str]) -> int:
    """Run apt-get."""
    plain = [argument for argument in arguments if not argument.startswith("-")]
    if not plain:
        fail("apt 2.6.1 (amd64)\nUsage: apt-get [options] command", 1)
    command, *names = plain
    match command:
        case "update":
            say("Get:1 http://archive.ubuntu.com/ubuntu jammy InRelease [270 kB]")
            for _ in link.arriving(25_000_000):
                pass
            clock.sleep(2)
            say("Fetched 25.0 MB in 3s (8333 kB/s)\nReading package lists...")
        case "install":
            return _install(names)
        case "upgrade" | "dist-upgrade" | "clean" | "autoremove" | "autoclean":
            clock.sleep(1)
            say("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.")
        case _:
            fail(f"E: Invalid operation {command}", 100)
    return 0


def _install(names: list[str]) -> int:
    say("Reading package lists...\nBuilding dependency tree...\nReading state information...")
    known = (_PACKAGES.keys() - _REAL) | machine().debian.keys()
    unknown = [name for name in names if name.partition("=")[0] not in known]
    if unknown:
        fail("\n".join(f"E: Unable to locate package {name}" for name in unknown), 100)
    record = run_file("packages")
    present = _PRESENT | set(record.read_text(encoding="utf-8").split() if record.is_file() else [])
    new = [name for name in names if name not in present]
    for name in names:
        if name in present:
            say(f"{name} is already the newest version.")
    if new:
        say("The following NEW packages will be installed:\n  " + " ".join(new))
    say(f"0 upgraded, {len(new)} newly installed, 0 to remove and 0 not upgraded.")
    for name in new:
        for _ in link.arriving(_PACKAGES[name] * 1_000_000):
            pass
        clock.sleep(0.8)
        if name in machine().debian:
            program, found = machine().debian[name]
            Path(found).unlink(missing_ok=True)
            Path(found).symlink_to(program)
        say(f"Setting up {name} ...")
    if new:
        record.write_text(" ".join(sorted(present | set(new))), encoding="utf-8")
    return 0
