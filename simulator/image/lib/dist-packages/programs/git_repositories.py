"""The repositories that this image can clone, and a clone on disk: files, a commit, no objects."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from hardware import clock, link
from hardware.facts import machine

_IMAGE = Path(__file__).resolve().parents[3]


class UnknownHost(Exception):
    """The host of a URL does not resolve; the text is its name."""


class NoRepository(Exception):
    """The host is there, the repository is not."""


class Repository(NamedTuple):
    """What a clone brings: its files, megabytes on the wire in full and with --depth, commits by ref."""

    content: Path | None
    full_mb: int
    shallow_mb: int
    refs: dict[str, str]

    def commit(self, ref: str | None) -> str | None:
        """Return the commit of a branch, a tag or (a part of) a hash; the default branch for None."""
        if ref is None:
            return next(iter(self.refs.values()))
        if ref in self.refs:
            return self.refs[ref]
        return next((one for one in self.refs.values() if len(ref) >= 7 and one.startswith(ref)), None)

    def travel(self, *, shallow: bool) -> None:
        """Take the time of the transfer."""
        clock.sleep(0.8)
        for _ in link.arriving((self.shallow_mb if shallow else self.full_mb) * 1_000_000):
            pass


_SD_SCRIPTS = {
    "main": "48d368fa557731ad0488c07304dfeba8c07910eb",
    "sd3": "3265f2edfbb80d393a495ff5e37e3e89e7545492",
    "v0.9.1": "8f4ee8fc343b047965cd8976fca65c3a35b7593a",
}
_COMFYUI = Repository(
    _IMAGE / "comfyui",
    110,
    12,
    dict.fromkeys(("master", "v0.3.64"), "a125cd84b054a57729b5eecab930ca9408719832"),
)
_KNOWN = {
    "github.com/comfyanonymous/ComfyUI": _COMFYUI,
    "github.com/Comfy-Org/ComfyUI": _COMFYUI,
    # made up: a pack of nodes that is small enough to be real
    "github.com/lumenworks/ComfyUI-FilmGrain": Repository(
        _IMAGE / "film_grain", 1, 1, {"main": "5d0c6a3f1b9e42d7a8c4e01f7b6d93a25e8f4c10"}
    ),
    "github.com/kohya-ss/sd-scripts": Repository(_IMAGE / "sd-scripts", 31, 9, _SD_SCRIPTS),
    "github.com/bmaltais/kohya_ss": Repository(
        None, 30, 6, {"master": "90e75c908e8a2518a343310440c62326d94225b5"}
    ),
}


def find(url: str) -> Repository:
    """Return the repository at a URL: a known one, or a folder of the machine's `web`.

    Raises:
        UnknownHost: the host does not resolve.
        NoRepository: there is no such repository.
    """
    name = plain(url)
    if name in _KNOWN:
        return _KNOWN[name]
    host = name.split("/", maxsplit=1)[0]
    root = machine().web
    web = Path(root) if root else None
    if web and (web / name).is_dir():
        return Repository(web / name, 5, 2, {"main": f"{1:040x}"})
    clock.sleep(1)
    if host in {"github.com", "huggingface.co"} or (web and (web / host).is_dir()):
        raise NoRepository(name)
    raise UnknownHost(host)


def plain(url: str) -> str:
    """Return host and path of a URL without `.git`."""
    return url.partition("://")[2].rstrip("/").removesuffix(".git")


class Clone:
    """A working tree of one of these repositories.

    Attributes:
        url: where it came from.
    """

    def __init__(self, top: Path, url: str) -> None:
        self.url = url
        self._top, self._git = top, top / ".git"

    @classmethod
    def make(cls, top: Path, url: str) -> Clone:
        """Make an empty one."""
        clone = cls(top, url)
        for part in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
            (clone._git / part).mkdir(parents=True)
        config = f'[core]\n\trepositoryformatversion = 0\n[remote "origin"]\n\turl = {url}\n'
        (clone._git / "config").write_text(config, encoding="utf-8")
        return clone

    @classmethod
    def containing(cls, folder: Path) -> Clone | None:
        """Return the clone that a folder lies in, if its remote is one of these repositories."""
        for top in (folder, *folder.parents):
            config = top / ".git" / "config"
            if config.is_file():
                url = config.read_text(encoding="utf-8").rpartition("url = ")[2].split("\n")[0].strip()
                made_here = "://" in url and not (top / ".git" / "index").exists()
                ours = made_here or plain(url) in _KNOWN
                return cls(top, url) if ours else None
        return None

    @property
    def top(self) -> Path:
        """Its folder."""
        return self._top

    @property
    def head(self) -> str | None:
        """The commit that is checked out."""
        text = (self._git / "HEAD").read_text(encoding="utf-8").strip()
        return text if len(text) == 40 else None

    @property
    def fetched(self) -> str | None:
        """The commit that the last fetch brought."""
        file = self._git / "FETCH_HEAD"
        return file.read_text(encoding="utf-8").split()[0] if file.is_file() else None

    def fetch(self, commit: str) -> None:
        """Remember a commit as fetched."""
        (self._git / "FETCH_HEAD").write_text(f"{commit}\t\tbranch of {self.url}\n", encoding="utf-8")

    def check_out(self, repository: Repository, commit: str) -> None:
        """Put the files there."""
        if repository.content:
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(repository.content, self._top, dirs_exist_ok=True, ignore=ignore)
        else:
            (self._top / "sd-scripts").mkdir(exist_ok=True)
            (self._top / "kohya_gui.py").write_text("")
        (self._git / "HEAD").write_text(commit + "\n", encoding="utf-8")

    def update_submodules(self) -> None:
        """Fill the submodules: kohya_ss has sd-scripts."""
        folder = self._top / "sd-scripts"
        scripts = _KNOWN["github.com/kohya-ss/sd-scripts"]
        if folder.is_dir() and scripts.content and not (folder / "library").exists():
            scripts.travel(shallow=True)
            shutil.copytree(
                scripts.content, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
