"""A dataset that did not change is not read again, and what is said of it is the same."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dataset_files import encoded, make, picture, report
from PIL import Image as Pillow

from components.dataset import pixels
from components.errors import TransferFailed
from components.remote import manifest
from components.remote.manifest import scan

EXIF = Pillow.Exif()
EXIF[0x0112] = 6
WHOLE = encoded(picture(1), exif=EXIF)
FILES = {
    "turned.png": WHOLE,
    "twice.png": WHOLE,
    "alike.jpg": encoded(picture(1), "JPEG"),
    "clear.png": encoded(picture(2).convert("RGBA").resize((600, 600)), compress_level=1),
    "cut.png": WHOLE[:-200],
    "text.jpg": "no image",
    "deep.png": encoded(picture(3).convert("I;16")),
    "animated.webp": encoded(picture(4), "WEBP", save_all=True, append_images=[picture(5)]),
    "huge.png": encoded(Pillow.new("1", (20_000, 10_000))),
    "turned.txt": "a caption",
}


@pytest.fixture(autouse=True)
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be ten seconds ahead of what has just been written, with nothing known."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 10_000_000_000)
    monkeypatch.setenv("FRAGUA_HOME", str(tmp_path / "home"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of images and of hashed files, as they are read."""
    names: list[str] = []

    def noting(real: Callable[..., Any]) -> Callable[..., Any]:
        def note(file: Any, *arguments: Any) -> Any:
            names.append(Path(getattr(file, "name", file)).name)
            return real(file, *arguments)

        return note

    monkeypatch.setattr(pixels.PIL.Image, "open", noting(Pillow.open))
    monkeypatch.setattr(manifest.hashlib, "file_digest", noting(manifest.hashlib.file_digest))
    return names


def test_a_dataset_that_is_known_is_not_read_and_the_report_is_the_same(
    tmp_path: Path, opened: list[str]
) -> None:
    folder = make(tmp_path / "data", FILES)

    first = report(folder), scan(folder, known=True)
    assert {problem.kind.name for problem in first[0].problems} > {
        "turned-image",
        "same-image",
        "lookalike-image",
        "damaged-image",
        "unreadable-image",
        "too-many-pixels",
        "deep-image",
        "animated-image",
    }
    assert set(opened) == set(FILES)
    opened.clear()

    assert (report(folder), scan(folder, known=True)) == first
    assert opened == []


def test_an_image_that_changed_is_read_and_its_caption_always(tmp_path: Path, opened: list[str]) -> None:
    folder = make(tmp_path / "data", {"a.png": WHOLE, "b.png": WHOLE, "a.txt": "one", "b.txt": "two"})
    report(folder)
    opened.clear()
    times = (folder / "a.png").stat()
    (folder / "a.png").write_bytes(WHOLE[:-200] + bytes(200))
    os.utime(folder / "a.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    (folder / "b.txt").write_text("six")

    found = report(folder)

    assert [problem.kind.name for problem in found.errors] == ["damaged-image"]
    assert [image.caption for image in found.subsets[0].images] == ["six"]
    assert opened == ["a.png"]


def test_what_is_sent_is_read_though_it_is_known(tmp_path: Path, opened: list[str]) -> None:
    folder = make(tmp_path / "data", {"a.png": WHOLE})
    known = scan(folder, known=True)
    opened.clear()

    assert scan(folder) == known
    assert opened == ["a.png"]


def test_a_disk_that_failed_once_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "data", {"a.png": WHOLE, "a.txt": "one"})
    with monkeypatch.context() as patch:

        def fail(_: Path) -> None:
            raise OSError(errno.EIO, "Input/output error")

        patch.setattr(pixels.PIL.Image, "open", fail)
        assert [problem.kind.name for problem in report(folder).errors] == ["unreadable-file"]

    assert report(folder).errors == []


def test_a_file_that_cannot_be_read_is_named_where_hashes_are_known(tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match=r"gone: No such file or directory$"):
        manifest.known_hashes([tmp_path / "gone"])
