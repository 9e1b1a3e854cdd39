"""What can be wrong with a dataset, as data: how bad it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path


class Severity(StrEnum):
    """An error refuses the dataset before anything is rented; a warning is only shown."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        name: stable, for programs.
        severity: error or warning.
        remedy: what to do, with the reason where it is not plain.
    """

    name: str
    severity: Severity
    remedy: str


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        kind: with severity and remedy.
        file: the file or folder.
        what: what is wrong with it.
    """

    kind: Kind
    file: Path
    what: str

    def __str__(self) -> str:
        """Say it all in one line."""
        return f"{shown(self.file)}: {self.what}; {self.kind.remedy}"


def shown(path: Path) -> str:
    """Return a path as a person can read it; one with a line break or a stray byte as Python writes it."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def listed(names: list[str], most: int = 3) -> str:
    """Return `a, b and c`, or `a, b, c and 4 more`."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _error(name: str, remedy: str) -> Kind:
    return Kind(name, Severity.ERROR, remedy)


def _warning(name: str, remedy: str) -> Kind:
    return Kind(name, Severity.WARNING, remedy)


# Folders

NO_FOLDER: Final = _error("no-folder", "name the folder that holds the images; unpack an archive first")
UNREADABLE_FOLDER: Final = _error("unreadable-folder", "give yourself the right to read it")
NO_IMAGES: Final = _error("no-images", "put images there, or name the folder that holds them")
IMAGES_BESIDE_FOLDERS: Final = _error(
    "images-beside-folders", "move the images into a numbered folder, or the folders elsewhere"
)
UNNUMBERED_FOLDER: Final = _error(
    "unnumbered-folder",
    "rename it REPEATS_NAME, such as 10_cat, or move it away: sd-scripts ignores it without a number",
)
NO_REPEATS: Final = _error(
    "no-repeats", "begin its name with 1 or more, or move it away: sd-scripts ignores it"
)
REPEATED_FOLDER: Final = _error(
    "repeated-folder", "name it once and give it more repeats: sd-scripts takes only the first"
)
ONLY_REGULARISATION: Final = _error("only-regularisation", "add images to train on")
NESTED_IMAGES: Final = _warning(
    "nested-images", "sd-scripts looks into no subfolder: move them up, or leave them out on purpose"
)
SURPLUS_REGULARISATION: Final = _warning("surplus-regularisation", "sd-scripts leaves the rest unused")
STALE_CACHES: Final = _warning(
    "stale-caches", "delete them: sd-scripts trusts them even if VAE, resolution or captions have changed"
)

# Files

UNSENDABLE_NAME: Final = _error(
    "unsendable-name",
    "rename it: a line break, a backslash or bytes that are not UTF-8 in a name cannot be sent",
)
LONG_NAME: Final = _error(
    "long-name", "shorten it to 236 bytes before the suffix: cached latents need a longer name beside it"
)
MIXED_CASE_SUFFIX: Final = _error("mixed-case-suffix", "spell it in lower case: sd-scripts overlooks it")
OVERLOOKED_FORMAT: Final = _warning(
    "overlooked-format", "sd-scripts overlooks it: convert it to PNG or JPEG, or leave it out on purpose"
)
UNREADABLE_FILE: Final = _error("unreadable-file", "give yourself the right to read it")
NO_FILE: Final = _error("no-file", "remove it: sd-scripts would stop at it")
SAME_STEM: Final = _error(
    "same-stem", "rename one: they would share one caption, and one would be trained with the other's latents"
)
CASE_VARIANTS: Final = _warning(
    "case-variants", "rename one: where case does not count, as on macOS or Windows, they are one file"
)

# Captions

MISSING_CAPTION: Final = _error("missing-caption", "write one, or give class tokens for all images without")
MISSING_REG_CAPTION: Final = _warning(
    "missing-regularisation-caption", "write one, or give class tokens: else its caption is empty"
)
EMPTY_CAPTION: Final = _error("empty-caption", "write a caption, or delete the file to use the class tokens")
EMPTY_FIRST_LINE: Final = _error(
    "empty-first-line", "put the caption on the first line: sd-scripts reads no other"
)
NOT_UTF8: Final = _error("not-utf8", "save it as UTF-8: sd-scripts would stop at it")
BYTE_ORDER_MARK: Final = _warning(
    "byte-order-mark", "save it as UTF-8 without BOM: the mark becomes part of the caption"
)
MORE_LINES: Final = _warning("more-lines", "put all of it on the first line: sd-scripts reads no other")
CAPTION_WITHOUT_IMAGE: Final = _warning(
    "caption-without-image", "rename it like its image, or delete it: nothing uses it"
)

# Pixels

UNREADABLE_IMAGE: Final = _error(
    "unreadable-image", "replace it, or delete it with its caption: sd-scripts would stop at it"
)
DAMAGED_IMAGE: Final = _error(
    "damaged-image", "fetch it again, or delete it with its caption: sd-scripts would stop at it"
)
TOO_MANY_PIXELS: Final = _error(
    "too-many-pixels", "shrink it: Pillow, and so sd-scripts, refuses it as a decompression bomb"
)
HUGE_IMAGE: Final = _warning(
    "huge-image", "shrink it: training uses no more pixels than its resolution, but has to decode them all"
)
TINY_IMAGE: Final = _error(
    "tiny-image", "replace it by a larger one, enlarge it with an upscaler, or leave it out"
)
ENLARGED_IMAGE: Final = _warning(
    "enlarged-image", "replace it by a larger one, lower the resolution, or leave it out: blur is learnt too"
)
CROPPED_IMAGE: Final = _warning(
    "cropped-image", "crop it yourself to what matters, or allow longer buckets: its edges are cut off"
)
NO_BUCKET: Final = _error("no-bucket", "enlarge it, or let buckets upscale: sd-scripts would stop at it")
TURNED_IMAGE: Final = _warning(
    "turned-image", "turn the pixels themselves, for instance with `mogrify -auto-orient`"
)
CMYK_IMAGE: Final = _warning(
    "cmyk-image", "convert it to sRGB by its colour profile: sd-scripts ignores that"
)
DEEP_IMAGE: Final = _error("deep-image", "convert it to 8 bits a channel: sd-scripts clips it to white")
TRANSPARENT_IMAGE: Final = _warning(
    "transparent-image",
    "lay it on a background yourself: sd-scripts shows what colour lies under, often black",
)
ANIMATED_IMAGE: Final = _warning(
    "animated-image", "save the frames that matter as images: sd-scripts reads the first only"
)
DISGUISED_FORMAT: Final = _warning(
    "disguised-format", "convert it to PNG or JPEG: another version of Pillow may not read it"
)
SAME_IMAGE: Final = _warning("same-image", "delete one, or mean it: it counts twice, like a repeat")
LOOKALIKE_IMAGE: Final = _warning(
    "lookalike-image", "keep the better one: what is there twice is learnt more strongly"
)
