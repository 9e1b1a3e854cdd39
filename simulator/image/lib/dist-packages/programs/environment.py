"""A virtual environment on disk: made, listed, filled with stand-ins for packages, emptied of them.

It knows the files of an environment, not which versions go together.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from programs import real_wheels
from programs.resolver import normal

if TYPE_CHECKING:
    from programs.resolver import Package

_LIB = Path(__file__).resolve().parents[2]
_STAND_INS = _LIB / "stand-ins"

_ACTIVATE = """\
# This file must be used with "source bin/activate" from a shell
deactivate () {{
    if [ -n "${{_OLD_VIRTUAL_PATH:-}}" ]; then PATH="$_OLD_VIRTUAL_PATH"; export PATH; fi
    unset _OLD_VIRTUAL_PATH
    if [ -n "${{_OLD_VIRTUAL_PS1+_}}" ]; then PS1="$_OLD_VIRTUAL_PS1"; export PS1; unset _OLD_VIRTUAL_PS1; fi
    hash -r 2>/dev/null
    unset VIRTUAL_ENV VIRTUAL_ENV_PROMPT
    if [ ! "${{1-}}" = "nondestructive" ]; then unset -f deactivate; fi
}}
deactivate nondestructive
VIRTUAL_ENV='{folder}'
export VIRTUAL_ENV
_OLD_VIRTUAL_PATH="$PATH"
PATH="$VIRTUAL_ENV/bin:$PATH"
export PATH
VIRTUAL_ENV_PROMPT='{name}'
export VIRTUAL_ENV_PROMPT
if [ -z "${{VIRTUAL_ENV_DISABLE_PROMPT:-}}" ]; then
    _OLD_VIRTUAL_PS1="${{PS1:-}}"
    PS1="({name}) ${{PS1:-}}"
    export PS1
fi
hash -r 2>/dev/null || true
"""


VERSION = "0.8.22"
"""Of uv, which makes them."""


class Environment:
    """The environment in `folder`.

    Attributes:
        folder: where its `pyvenv.cfg` lies.
        packages: its site-packages folder.
        seen: where its programs find it, if that is elsewhere.
    """

    def __init__(self, folder: Path, seen: Path | None = None) -> None:
        self.folder = folder
        self.seen = seen or folder.resolve()
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.packages = folder / "lib" / version / "site-packages"

    @classmethod
    def create(cls, folder: Path) -> Environment:
        """Make it: the interpreter by link, the programs of this image importable, activation for shells."""
        environment = cls(folder)
        environment.packages.mkdir(parents=True)
        binaries = folder / "bin"
        binaries.mkdir()
        base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        (binaries / "python").symlink_to(base)
        for name in ("python3", f"python{sys.version_info.major}.{sys.version_info.minor}"):
            (binaries / name).symlink_to("python")
        (folder / "pyvenv.cfg").write_text(
            f"home = {base.parent}\nimplementation = CPython\nuv = {VERSION}\n"
            f"version_info = {sys.version.split()[0]}\ninclude-system-site-packages = false\n"
        )
        (folder / ".gitignore").write_text("*")
        (binaries / "activate").write_text(_ACTIVATE.format(folder=folder, name=folder.name))
        environment._adopt()
        return environment

    def installed(self) -> dict[str, str]:
        """Return `name: version` of every package, names in their normal form."""
        folders = self.packages.glob("*.dist-info")
        pairs = (folder.name.removesuffix(".dist-info").rsplit("-", 1) for folder in folders)
        return {normal(name): version for name, version in sorted(pairs)}

    def install(self, package: Package) -> None:
        """Put a package there: its metadata, something to import, and its commands."""
        name, version, _, needs, module, commands = package
        self._adopt()
        if real_wheels.version(name) == version:
            real_wheels.link(name, self.packages)
            return
        information = self._information(name, version)
        information.mkdir(exist_ok=True)
        requirements = "".join(f"Requires-Dist: {need}\n" for need in needs)
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requirements}"
        )
        (information / "INSTALLER").write_text("uv")
        (information / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: false\n")
        (information / "top_level.txt").write_text(module + "\n")
        target = self.packages / module
        if (_STAND_INS / module).is_dir():
            shutil.copytree(
                _STAND_INS / module, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
            cuda = version.partition("+cu")[2]
            (target / "version.py").write_text(f'__version__ = "{version}"\ncuda = {_dotted(cuda)!r}\n')
        else:
            target.mkdir(exist_ok=True)
            (target / "__init__.py").write_text(f'__version__ = "{version}"\n')
        for command, program in commands.items():
            script = self.folder / "bin" / command
            script.write_text(
                f"#!{self.seen / 'bin' / 'python'}\nimport sys\nfrom "
                f"programs.{program} import main\n"
                'if __name__ == "__main__":\n    sys.exit(main(sys.argv[1:]))\n'
            )
            script.chmod(0o755)

    def remove(self, name: str, version: str, commands: dict[str, str]) -> None:
        """Take a package away."""
        information = self._information(name, version)
        modules = set((information / "top_level.txt").read_text().split())
        shutil.rmtree(information)
        for file in self.packages.glob("*.dist-info/top_level.txt"):
            modules -= set(file.read_text().split())
        for path in (self.packages / module for module in modules):
            if path.is_symlink():
                path.unlink()
            else:
                shutil.rmtree(path, ignore_errors=True)
        for command in commands:
            (self.folder / "bin" / command).unlink(missing_ok=True)

    def _information(self, name: str, version: str) -> Path:
        return self.packages / f"{name.replace('-', '_')}-{version}.dist-info"

    def _adopt(self) -> None:
        self.packages.mkdir(parents=True, exist_ok=True)
        (self.packages / "_virtualenv.pth").write_text(f"{_LIB / 'dist-packages'}\n")


def _dotted(cuda: str) -> str | None:
    return f"{cuda[:-1]}.{cuda[-1]}" if cuda else None
