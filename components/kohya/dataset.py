"""What sd-scripts will find in a dataset folder, and what is wrong with it, before anything is rented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from components.spec.train import Dataset

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""Images that sd-scripts reads, lower or upper case; it looks in no subfolder."""

_SHOWN: Final = 5


@dataclass(frozen=True)
class Images:
    """The images of a dataset folder that will be trained on."""

    names: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.names)


def inspect(dataset: Dataset, folder: Path) -> Images:
    """Return the images of `folder`, each with a caption that can be read.

    Raises:
        SpecError: one line a problem. sd-scripts would stop at some of these, exit with 0 having trained
            nothing, or train on images without captions.
    """
    if not folder.is_dir():
        raise SpecError(f"dataset.path: no folder {folder}; it is relative to the folder of Pulumi.yaml")
    images = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not images:
        inside = sorted({path.parent.name for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES})
        hint = f"; images are in its subfolders {', '.join(inside)}: name one of them" if inside else ""
        raise SpecError(f"dataset.path: no images ({', '.join(SUFFIXES)}) in {folder}{hint}")
    problems = [problem for image in images if (problem := _problem(image, dataset))]
    if problems:
        more = f"\nand {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise SpecError("\n".join(problems[:_SHOWN]) + more)
    return Images(tuple(image.name for image in images))


def _problem(image: Path, dataset: Dataset) -> str:
    if image.suffix not in SUFFIXES and not image.suffix.isupper():
        return f"{image}: sd-scripts overlooks it; spell its suffix {image.suffix.lower()}"
    return _caption_problem(image, dataset)


def _caption_problem(image: Path, dataset: Dataset) -> str:
    caption = image.with_suffix(dataset.caption_extension)
    try:
        text = caption.read_text(encoding="utf-8")
    except FileNotFoundError:
        if dataset.class_tokens:
            return ""
        return (
            f"{image}: has no caption {caption.name}; write one, or set dataset.class_tokens for all without"
        )
    except UnicodeDecodeError:
        return f"{caption}: is not UTF-8; save it as UTF-8"
    if not text.strip():
        return f"{caption}: is empty; sd-scripts stops at an empty caption. Write one, or delete the file"
    if not text.partition("\n")[0].strip():
        return f"{caption}: has an empty first line, and sd-scripts reads no other; put the caption there"
    return ""
