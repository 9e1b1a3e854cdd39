"""One image file, decoded to its end as sd-scripts will decode it: what it holds, or why it cannot."""

from __future__ import annotations

import json
import struct
import warnings
import zlib
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

import PIL.Image
from PIL.Image import DecompressionBombError, Resampling

from components.dataset.images import Image
from components.dataset.problems import (
    DAMAGED_IMAGE,
    TOO_MANY_PIXELS,
    UNREADABLE_FILE,
    UNREADABLE_IMAGE,
    Problem,
)
from components.known import Known

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

THUMBNAIL: Final = (9, 8)
HUGE: Final = 40_000_000
"""Pixels from which an image costs noticeable memory: decoded, each takes three bytes or more."""

_ORIENTATION: Final = 0x0112
_DAMAGE: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)
"""What Pillow raises on files that are cut off or hostile."""

_one_huge_at_a_time = Lock()

_SIGNATURES: Final = (b"\x89PNG", b"\xff\xd8", b"RIFF")
_CONTENTS: Final = {
    b"version https://git-lfs": "is a Git LFS pointer, not the image: run `git lfs pull`",
    b"<!doctype": "is a web page, not an image",
    b"<html": "is a web page, not an image",
    b"<?xml": "is XML, not an image",
    b"<svg": "is SVG, not pixels",
    b"%pdf": "is a PDF document",
    b"pk\x03\x04": "is a ZIP archive",
    b"8bps": "is a Photoshop document",
}


@contextmanager
def patient() -> Iterator[None]:
    """Keep Pillow silent, in all threads, about images that are large but not refused and about odd EXIF."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read(path: Path) -> Image | Problem:
    """Decode the file `path` in full. The caption is not read."""
    try:
        picture = PIL.Image.open(path)
    except DecompressionBombError:
        return Problem(
            TOO_MANY_PIXELS, path, f"has more than {2 * (PIL.Image.MAX_IMAGE_PIXELS or 0):,} pixels"
        )
    except _DAMAGE as error:
        return _unreadable(path, error) or _no_image(path)
    with picture:
        try:
            return _decoded(path, picture)
        except DecompressionBombError:
            return Problem(TOO_MANY_PIXELS, path, "grows beyond measure when it is decoded")
        except _DAMAGE as error:
            return _unreadable(path, error) or Problem(
                DAMAGED_IMAGE, path, f"is cut off or damaged ({error})"
            )


def _unreadable(path: Path, error: Exception) -> Problem | None:
    """Return what the system says, if it is the system that says it."""
    if isinstance(error, OSError) and error.errno:
        return Problem(UNREADABLE_FILE, path, f"cannot be read: {error.strerror}")
    return None


def _decoded(path: Path, picture: PIL.Image.Image) -> Image:
    size, kind = picture.size, picture.format or ""
    frames = 1 if kind == "MPO" else getattr(picture, "n_frames", 1)  # an MPO's others are previews or depth
    with _one_huge_at_a_time if size[0] * size[1] > HUGE else nullcontext():
        if kind in ("JPEG", "MPO"):
            # Every byte is still decoded, but only a small picture computed: 4 times as fast.
            picture.draft(None, (64, 64))
        picture.load()
        mode = picture.mode
        transparent = _is_transparent(picture)
        small = picture.convert("RGB").resize(THUMBNAIL, Resampling.BOX)
    return Image(path, *size, kind, mode, _orientation(picture), frames, transparent, small.tobytes())


def _orientation(picture: PIL.Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:
        return 1  # sd-scripts does not look at EXIF, so broken EXIF is no harm
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _is_transparent(picture: PIL.Image.Image) -> bool:
    if picture.mode in ("RGBA", "LA", "PA"):
        low, _ = picture.getchannel("A").getextrema()
    elif "transparency" in picture.info and picture.mode in ("P", "L", "RGB", "1"):
        low, _ = picture.convert("RGBA").getchannel("A").getextrema()
    else:
        return False
    return isinstance(low, int | float) and low < 255


def _no_image(path: Path) -> Problem:
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(_SIGNATURES):
        return Problem(DAMAGED_IMAGE, path, "is cut off or damaged at its beginning")
    return Problem(UNREADABLE_IMAGE, path, _content(head))


def _content(head: bytes) -> str:
    """Return what a file is that begins with `head` and is no image."""
    if not head:
        return "is empty (0 bytes)"
    if head[4:8] == b"ftyp":
        return (
            f"is {head[8:12].decode('ascii', errors='replace').strip().upper()}, not the format of its suffix"
        )
    text = head.lstrip().lower()
    return next((words for mark, words in _CONTENTS.items() if text.startswith(mark)), "is no image")


def _note(found: Image | Problem) -> str:
    if isinstance(found, Problem):
        kind = found.kind.name
        return json.dumps({"kind": kind, "what": found.what}) if kind in _IN_THE_BYTES else ""
    facts = {**vars(found), "thumbnail": found.thumbnail.hex()}
    return json.dumps({name: fact for name, fact in facts.items() if name not in ("path", "caption")})


def _told(path: Path, note: str) -> Image | Problem:
    facts = json.loads(note)
    if "kind" in facts:
        return Problem(_IN_THE_BYTES[facts["kind"]], path, facts["what"])
    return Image(path, **{**facts, "thumbnail": bytes.fromhex(facts["thumbnail"])})


_IN_THE_BYTES: Final = {kind.name: kind for kind in (UNREADABLE_IMAGE, DAMAGED_IMAGE, TOO_MANY_PIXELS)}
"""Problems that a file has until it changes; what the system says of it may pass."""

_RULES: Final = sha256(Path(__file__).read_bytes()).hexdigest()[:16]
_KNOWN: Final = Known(f"image {PIL.__version__} {_RULES}", read, _note, _told)


def read_all(paths: Sequence[Path]) -> list[Image | Problem]:
    """Decode files as `read` does, in threads; what did not change since the last time is remembered.

    It is known by the rules of this file, and for the installed version of Pillow.
    """
    with patient():
        return _KNOWN.of(paths)
