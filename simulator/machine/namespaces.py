"""Make the calling process the first one of a container of its own.

Namespaces for mounts, processes, network, host name and IPC (and users, for an ordinary user), a
new root directory and Docker's capabilities. Runs in a bare interpreter inside the container to
be: standard library only, and nothing of SSH or of the market.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import struct
from pathlib import Path
from typing import TypedDict

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_RELATIME = 0x200000
MNT_DETACH = 2

PR_CAPBSET_DROP = 24

SIOCSIFADDR = 0x8916
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1

# Docker's default set without MKNOD, which Docker pairs with a device cgroup:
# CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW
# SYS_CHROOT AUDIT_WRITE SETFCAP.
KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31})

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

_libc = ctypes.CDLL(None, use_errno=True)


class Bind(TypedDict):
    """A host path shown inside the container.

    Attributes:
        source: path on the host.
        target: absolute path inside the container.
        writable: whether the container may change it.
    """

    source: str
    target: str
    writable: bool


class Container(TypedDict):
    """What a container is made of.

    Attributes:
        isolation: a value of `simulator.machine.sandbox.Isolation`.
        root: host directory that becomes `/`.
        hostname: name of the container.
        address: IPv4 address of the container, beside 127.0.0.1.
        binds: what of the host is shown inside.
        full_disk: directory (inside) that has almost no room left, if any.
    """

    isolation: str
    root: str
    hostname: str
    address: str
    binds: list[Bind]
    full_disk: str | None


def unshare(container: Container) -> None:
    """Leave the host's namespaces; the next child is process 1 of the new ones.

    Raises:
        OSError: the kernel or a container around this process forbids it.
    """
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC
    if container["isolation"] == "user namespaces":
        flags |= CLONE_NEWUSER
    _call("unshare", _libc.unshare(flags))
    if container["isolation"] == "user namespaces":
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def enter(container: Container) -> None:
    """Turn process 1 of fresh namespaces into the container: root, devices, network, limits.

    Raises:
        OSError: a mount is refused.
    """
    root = Path(container["root"])
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount(root, root, None, MS_BIND | MS_REC)
    _mount_proc(root / "proc")
    _mount_dev(root / "dev")
    for bind in container["binds"]:
        _bind(Path(bind["source"]), Path(f"{root}{bind['target']}"), writable=bind["writable"])
    if container["full_disk"]:
        _fill(Path(f"{root}{container['full_disk']}"))
    os.chdir(root)
    _call("pivot_root", _libc.pivot_root(b".", b"."))
    _call("umount", _libc.umount2(b".", MNT_DETACH))
    os.chdir("/")
    name = container["hostname"].encode()
    _call("sethostname", _libc.sethostname(name, len(name)))
    _raise_network(container["address"])
    for capability in range(64):
        if capability not in KEPT_CAPABILITIES:
            _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def _mount_proc(proc: Path) -> None:
    _mount("proc", proc, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    # Programs here call from other ports than those at which the simulator has doors: the host's public ones.
    with contextlib.suppress(OSError):
        (proc / "sys/net/ipv4/ip_local_port_range").write_text("10000 32767")
    # Root without a user namespace could change the host's kernel through these two.
    for path in (proc / "sys", proc / "sysrq-trigger"):
        if path.exists():
            _bind(path, path, writable=False)


def _mount_dev(dev: Path) -> None:
    _mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755,size=1m")
    for name in DEVICES:
        (dev / name).touch()
        _mount(Path("/dev", name), dev / name, None, MS_BIND)
    (dev / "pts").mkdir()
    _mount("devpts", dev / "pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666")
    (dev / "shm").mkdir()
    _mount("shm", dev / "shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for name, target in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ):
        (dev / name).symlink_to(target)


def _fill(directory: Path) -> None:
    """Cover `directory` with a file system that holds what it holds now and 1 MiB more."""
    staging = directory.with_name(f"{directory.name}.full")
    staging.mkdir(exist_ok=True)
    flags = MS_NOSUID | MS_NODEV
    _mount("disk", staging, "tmpfs", flags, "mode=755")
    shutil.copytree(directory, staging, symlinks=True, dirs_exist_ok=True)
    status = os.statvfs(staging)
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    _mount("disk", staging, None, MS_REMOUNT | flags, f"size={used + 2**20}")
    _mount(staging, directory, None, MS_BIND)
    _call("umount", _libc.umount2(bytes(staging), MNT_DETACH))
    staging.rmdir()


def _raise_network(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for interface, ip in ((b"lo", "127.0.0.1"), (b"lo:0", address)):
            ipv4 = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(ip))
            fcntl.ioctl(probe, SIOCSIFADDR, struct.pack("16s16s", interface, ipv4))
            fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("=16sH14x", interface, IFF_UP))


def _bind(source: Path, target: Path, *, writable: bool) -> None:
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        target.touch()
    _mount(source, target, None, MS_BIND | MS_REC)
    if writable:
        return
    # A user namespace may not clear a flag that the host's mount has, so they are repeated.
    flags = os.statvfs(target).f_flag
    kept = flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)
    if flags & os.ST_RELATIME:
        kept |= MS_RELATIME
    _mount(None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def _mount(
    source: str | Path | None,
    target: str | Path,
    kind: str | None,
    flags: int,
    options: str | None = None,
) -> None:
    result = _libc.mount(
        os.fsencode(source) if source else None,
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() if options else None,
    )
    _call(f"mount {target}", result)


def _call(what: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
