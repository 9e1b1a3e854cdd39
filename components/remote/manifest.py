"""What is in a folder: path, size and SHA-256 of each file. It decides what is sent to a machine."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.errors import TransferFailed
from components.known import Known

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_UNSENDABLE: Final = re.compile("[\n\r\\\\\ud800-\udfff]")
"""Python shows a byte of a name that is not UTF-8 as a surrogate."""


@dataclass(frozen=True)
class File:
    """One file of a manifest.

    Attributes:
        path: relative, with forward slashes.
        size: bytes.
        sha256: of its content.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The files of a folder, by path."""

    files: tuple[File, ...]

    @cached_property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The hash of each path."""
        return {file.path: file.sha256 for file in self.files}

    @cached_property
    def digest(self) -> str:
        """Identifies the content and the names of all files."""
        lines = "".join(f"{file.sha256}  {file.path}\n" for file in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Found:
    """A file on the machine.

    Attributes:
        size: bytes.
        sha256: of its content; empty where nobody asked.
    """

    size: int
    sha256: str


@dataclass(frozen=True)
class Delta:
    """What makes a folder on the machine equal to a manifest, out of it and of a side folder.

    Attributes:
        surplus: paths in the folder that must go.
        stale: paths in the side folder that must go; what is broken off may stay.
        links: path of a file of the manifest to the path in the folder that has its content.
        missing: the files whose content is not there.
    """

    surplus: frozenset[str]
    stale: frozenset[str]
    links: dict[str, str]
    missing: tuple[File, ...]


def part(file: File) -> str:
    """Return the path of a big file's beginning; named by the content, so that it fits no other."""
    return f".{file.sha256}.part"


def begun(file: File, size: int) -> int:
    """Return how many bytes of a part of that `size` are the beginning of `file`; a longer one is none."""
    return size if size <= file.size else 0


def compare(manifest: Manifest, folder: dict[str, Found], side: dict[str, Found]) -> Delta:
    """Return what is to be done so that `folder`, with `side` moved into it, holds what the manifest says."""
    there = {path: found.sha256 for path, found in folder.items()}
    arrived = {path: found.sha256 for path, found in side.items()}
    origin = {digest: path for path, digest in there.items() if digest}
    absent = [file for file in manifest.files if there.get(file.path) != file.sha256]
    whole = {file.path for file in absent if arrived.get(file.path) == file.sha256}
    links = {
        file.path: origin[file.sha256] for file in absent if file.path not in whole and file.sha256 in origin
    }
    missing = tuple(file for file in absent if file.path not in whole and file.path not in links)
    halves = {file.path for file in missing if file.path in side and side[file.path].size < file.size}
    return Delta(
        surplus=frozenset(there.keys() - manifest.hashes.keys()),
        stale=frozenset(arrived.keys() - whole - halves - {part(file) for file in missing}),
        links=links,
        missing=missing,
    )


def scan(folder: Path, *, known: bool = False) -> Manifest:
    """Read every file under `folder`, hidden ones and what Python caches excepted.

    Args:
        folder: where they are.
        known: believe what is remembered of files that did not change: for plans, not for what is sent.

    Raises:
        TransferFailed: it is no folder, or a file cannot be read, or a name cannot be sent.
    """
    if not folder.is_dir():
        raise TransferFailed(f"{folder}: no such folder")
    names = sorted(_names(folder), key=lambda name: name.parts)
    for name in names:
        if _UNSENDABLE.search(str(name)):
            raise TransferFailed(
                f"{str(folder / name)!r}: rename it; a line break, a backslash or bytes that are not UTF-8 "
                "in a name cannot be sent"
            )
    paths = [folder / name for name in names]
    hashes = known_hashes(paths) if known else map(sha256, paths)
    return Manifest(
        tuple(
            File(name.as_posix(), path.stat().st_size, digest)
            for name, path, digest in zip(names, paths, hashes, strict=True)
        )
    )


def _names(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = filter(_is_meant, folders)
        within = Path(place).relative_to(folder)
        yield from (within / name for name in files if _is_meant(name) and Path(place, name).is_file())


def _is_meant(name: str) -> bool:
    return not name.startswith(".") and name != "__pycache__"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex.

    Raises:
        TransferFailed: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TransferFailed(f"{path}: {error.strerror}") from None


_KNOWN: Final = Known("sha256", sha256, str, lambda _, note: note)


def known_hashes(paths: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of each file, read again only where it changed: for plans, not for what is sent.

    Raises:
        TransferFailed: one cannot be read.
    """
    return _KNOWN.of(paths)
