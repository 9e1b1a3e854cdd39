"""The files of a machine: a small Linux around the host's programs.

The host's system directories and its Python are shown read-only; everything else is the machine's
own and stays over stop and start. What an image adds is in `simulator.machine.image`.
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import shutil
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import PIL

from simulator.machine.sandbox import Isolation

if TYPE_CHECKING:
    from simulator.machine.namespaces import Bind, Container
    from simulator.machine.spec import MachineSpec

SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
ETC = ("alternatives", "ca-certificates", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "pki", "ssl")
DIRECTORIES = (
    *("dev", "etc", "home", "media", "mnt", "opt", "proc", "root/.ssh", "run", "srv", "sys"),
    *("tmp", "var/cache", "var/lib", "var/log", "var/tmp", "workspace"),
)
PROGRAMS = Path(__file__).parents[1] / "image"
SITE = Path(PIL.__file__).parents[1]
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
ADDRESS = "172.17.0.2"  # the first one that Docker's bridge gives out
DEBIAN = ("haproxy", "rclone")  # programs of this host that an image has only once apt has installed them
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Files:
    """The file tree of one machine, on the host.

    Attributes:
        root: everything that belongs to the machine.
        tree: the container's `/`.
        isolation: how the machine runs; decides where its programs see their files.
    """

    def __init__(self, root: Path, spec: MachineSpec, web: Path | None) -> None:
        """Describe the tree under `root`; `web` is a folder that stands for the internet."""
        self.root = root.absolute()
        self.tree = self.root / "rootfs"
        self.isolation = Isolation.NAMESPACES
        self.hostname = spec.env.get("-h") or hashlib.sha256(str(spec.contract_id).encode()).hexdigest()[:12]
        self._local = self.root / "local"
        self._spec = spec
        self._shown = {
            "/usr/local": self._local,
            "/opt/simulated/python": Path(sys.base_prefix),
            "/opt/simulated/packages": SITE,
            "/opt/simulated/wheels": SITE,
            "/opt/simulated/image": PROGRAMS,
        }
        places = f"{sysconfig.get_path('scripts')}:{os.environ.get('PATH', os.defpath)}"
        found = {name: shutil.which(name, path=places) for name in DEBIAN}
        self._debian = {name: Path(path).resolve() for name, path in found.items() if path}
        self._shown |= {f"/opt/simulated/{name}": path for name, path in self._debian.items()}
        if web:
            self._shown["/opt/simulated/web"] = web

    def create(self) -> None:
        """Make what is not there yet."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds keys
        for directory in DIRECTORIES:
            (self.tree / directory).mkdir(parents=True, exist_ok=True)
        for directory, mode in (("root", 0o700), ("root/.ssh", 0o700), ("tmp", 0o1777)):
            (self.tree / directory).chmod(mode)
        for name in SYSTEM:
            host = Path("/", name)
            if host.is_symlink() and not (self.tree / name).is_symlink():
                (self.tree / name).symlink_to(host.readlink())
        (self._local / "bin").mkdir(parents=True, exist_ok=True)
        etc = self.tree / "etc"
        user, group = _own_names()
        defaults = {
            "passwd": "root:x:0:0:root:/root:/bin/bash\n" + user,
            "group": "root:x:0:\n" + group,
            "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
            "hostname": f"{self.hostname}\n",
            "hosts": f"127.0.0.1 localhost\n::1 localhost\n{ADDRESS} {self.hostname}\n",
            "profile": f'export PATH="{PATH}"\n',
            "environment": "",
        }
        for name, text in defaults.items():
            if not (etc / name).exists():
                (etc / name).write_text(text)
        link(etc / "os-release", "../usr/lib/os-release")
        total = self._spec.ram * 1024
        (self.root / "hidden").touch(0o644)
        (self.root / "meminfo").write_text(
            f"MemTotal:       {total:>8} kB\nMemFree:        {total * 9 // 10:>8} kB\n"
            f"MemAvailable:   {total * 9 // 10:>8} kB\nBuffers:               0 kB\n"
            "Cached:                0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n"
        )

    def container(self, isolation: Isolation) -> Container:
        """Return what a sandbox needs to show this tree as `/`."""
        binds = [
            _bind(Path("/", name), f"/{name}")
            for name in SYSTEM
            if Path("/", name).is_dir() and not Path("/", name).is_symlink()
        ]
        binds += [_bind(host, f"/etc/{host.name}") for host in _existing("/etc", ETC)]
        # Only what the image's programs import and what they can install, not all that the simulator has.
        parts = {"/opt/simulated/packages": ("PIL", "pillow.libs"), "/opt/simulated/wheels": _wheels()}
        for inside, host in self._shown.items():
            if inside in parts:
                binds += [_bind(found, f"{inside}/{found.name}") for found in _existing(host, parts[inside])]
            else:
                binds.append(_bind(host, inside, writable=host == self._local))
        binds += [
            _bind(self.root / "hidden", str(path))
            for path in self._debian.values()
            if path.is_relative_to("/usr") and not path.is_relative_to("/usr/local")
        ]
        binds.append(_bind(self.root / "meminfo", "/proc/meminfo"))
        return {
            "isolation": isolation.value,
            "root": str(self.tree),
            "hostname": self.hostname,
            "address": ADDRESS,
            "binds": binds,
            "full_disk": "/workspace" if "disk_full" in self._spec.faults else None,
        }

    def host_path(self, path: str) -> Path:
        """Return where a path of the container lies on the host."""
        for inside, host in self._shown.items():
            if path == inside or path.startswith(f"{inside}/"):
                return Path(f"{host}{path.removeprefix(inside)}")
        return Path(f"{self.tree}{path}")

    def seen_path(self, path: str) -> str:
        """Return the path under which the machine's programs find a path of the container."""
        return str(self.host_path(path)) if self.isolation is Isolation.NONE else path

    def environment(self) -> dict[str, str]:
        """Return what sshd sets for root, and what leads programs to their files."""
        variables = {
            "HOME": self.seen_path("/root"),
            "USER": "root",
            "LOGNAME": "root",
            "SHELL": "/bin/bash",
            "PATH": PATH,
            "LANG": "C.UTF-8",
        }
        if self.isolation is Isolation.NONE:
            variables |= {
                "PATH": f"{self._local}/bin:{PATH}",
                "WORKSPACE": self.seen_path("/workspace"),
                "TMPDIR": self.seen_path("/tmp"),  # noqa: S108 - the machine's own
                "SIMULATED_MACHINE": self.seen_path("/etc/simulated.json"),
                "SIMULATED_TRAFFIC": self.seen_path("/run/traffic"),
                "SIMULATED_GPU": self.seen_path("/run/gpu"),
            }
        elif sysconfig.get_config_var("Py_ENABLE_SHARED") and sys.base_prefix != "/usr":
            variables["LD_LIBRARY_PATH"] = "/opt/simulated/python/lib"
        return variables

    def debian(self) -> dict[str, tuple[str, str]]:
        """Return what apt can really install: by package, its program, and where that is to be found then."""
        return {
            name: (self.seen_path(f"/opt/simulated/{name}"), self.seen_path(f"/usr/local/bin/{name}"))
            for name in self._debian
        }

    def install_python(self, prefix: str) -> None:
        """Make a virtual environment of the host's Python at `prefix`."""
        where = self.host_path(prefix)
        packages = where / "lib" / PYTHON / "site-packages"
        packages.mkdir(parents=True, exist_ok=True)
        (where / "bin").mkdir(exist_ok=True)
        home = self.seen_path("/opt/simulated/python/bin")
        (where / "pyvenv.cfg").write_text(
            f"home = {home}\ninclude-system-site-packages = false\n"
            f"version = {sys.version_info.major}.{sys.version_info.minor}\n"
        )
        shared = ("/opt/simulated/packages", "/opt/simulated/image/lib/dist-packages")
        (packages / "image.pth").write_text("".join(f"{self.seen_path(path)}\n" for path in shared))
        for name, target in (
            (PYTHON, f"{home}/{PYTHON}"),
            ("python3", PYTHON),
            ("python", PYTHON),
        ):
            link(where / "bin" / name, target)

    def remove(self) -> None:
        """Delete everything."""
        for directory, names, _ in os.walk(self.root):
            for name in names:
                path = Path(directory, name)
                if not path.is_symlink():
                    path.chmod(0o700)
        shutil.rmtree(self.root, ignore_errors=True)


def link(path: Path, target: str) -> None:
    """Make or renew a symbolic link."""
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _own_names() -> tuple[str, str]:
    """Return passwd and group lines that make this process's user and group another root.

    In a user namespace no other owner exists, and `tar` and `rsync -a` keep owners by name.
    """
    try:
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        return "", ""
    return f"{user}:x:0:0::/root:/bin/bash\n", f"{group}:x:0:\n"


def _wheels() -> tuple[str, ...]:
    """Return what the packages that an image can really install consist of, by name in site-packages."""
    listed = (PROGRAMS / "lib/dist-packages/programs/wheels.json").read_text(encoding="utf-8")
    found = {
        file.parts[0]
        for name in json.loads(listed)["real"]
        for file in metadata.distribution(name).files or []
        if file.parts[0] not in {"..", "__pycache__"}
    }
    return (*sorted(found), "pillow.libs")


def _bind(source: Path, target: str, *, writable: bool = False) -> Bind:
    return {"source": str(source), "target": target, "writable": writable}


def _existing(directory: str | Path, names: tuple[str, ...]) -> list[Path]:
    return [path for path in (Path(directory, name) for name in names) if path.exists()]
