"""From folders to images: which files count, what their captions are, what cached latents tell of sizes."""

from __future__ import annotations

import glob
import json
import math
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from library import images
from library.console import Failure, log, refuse
from library.dataset import Image
from library.progress import bar

if TYPE_CHECKING:
    from library.dataset import Dataset, Subset

_SHOWN_MISSING = 5


def read(dataset: Dataset, subset: Subset, seed: int, size_cache_suffix: str | None) -> list[Image]:
    """Find the images of a subset and their captions, and count the tags for the dataset.

    Args:
        dataset: which the images are for: of training or of validation.
        subset: the folder, or the file of metadata.
        seed: of the split between the two.
        size_cache_suffix: how cached latents end, where sizes are taken from their names.

    Raises:
        Failure: a caption that is empty or no UTF-8, a missing file of metadata.
    """
    if subset.metadata_file is not None:
        return _read_metadata(dataset, subset)
    folder = Path(subset.image_dir)
    if not folder.is_dir():
        log("not_directory", folder=folder)
        return []
    paths = [
        path for path in folder.iterdir() if path.suffix in images.SUFFIXES and not path.name.startswith(".")
    ]
    found = [Image(path, "", subset, 1) for path in sorted(paths)]
    if size_cache_suffix:
        _sizes_from_caches(found, size_cache_suffix)
    split = dataset.settings["validation_split"]
    if split > 0:
        found = _split(found, split, seed, validation=dataset.validation, is_reg=subset.is_reg)
    log("found_directory", folder=folder, count=len(found))
    captions = [_caption(image.path, subset) for image in bar(found, len(found), "read caption")]
    missing = []
    for image, caption in zip(found, captions, strict=True):
        if caption is None:
            missing.append(image.path)
            if subset.class_tokens is None:
                log("no_caption", path=image.path)
        image.caption = caption or subset.class_tokens or ""
    _count_tags(dataset, folder.name, [image.caption for image in found])
    _announce_missing(missing)
    return found


def _announce_missing(paths: list[Path]) -> None:
    if paths:
        log("captions_missing", count=len(paths))
    for path in paths[:_SHOWN_MISSING]:
        log("caption_missing", path=path)
    if len(paths) > _SHOWN_MISSING:
        log("captions_missing_more", path=paths[_SHOWN_MISSING], count=len(paths) - _SHOWN_MISSING)


def _read_metadata(dataset: Dataset, subset: Subset) -> list[Image]:
    path = Path(subset.metadata_file)
    if not path.exists():
        refuse("no_metadata", path=path)
    log("metadata_loading", path=path)
    entries: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    found = []
    for key, entry in entries.items():
        text = entry.get("caption") or ""
        if entry.get("tags"):
            text += (subset.caption_separator if text else "") + entry["tags"]
        size = tuple(entry["image_size"]) if entry.get("image_size") else None
        found.append(Image(Path(subset.image_dir or "", key), text, subset, 1, size))
    _count_tags(dataset, path.name, [entry["tags"] for entry in entries.values() if entry.get("tags")])
    return found


def _caption(path: Path, subset: Subset) -> str | None:
    base = str(path.with_suffix(""))
    tokens = base.split("_")
    bases = [base, "_".join(tokens[:-4])] if len(tokens) >= 5 else [base]
    for candidate in bases:
        name = Path(candidate + subset.caption_extension)
        if not name.is_file():
            continue
        try:
            lines = name.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            log("not_utf8", path=name)
            raise Failure("UnicodeDecodeError", str(error)) from None
        if not lines:
            refuse("empty_caption", path=name)
        if subset.enable_wildcard:
            return "\n".join(line.strip() for line in lines if line.strip())
        return lines[0].strip()
    return None


def _sizes_from_caches(found: list[Image], suffix: str) -> None:
    """Take sizes from names like `cat_1024x0768_sdxl.npz`, as the trainer does to save reading."""
    log("sizes_from_caches")
    count = 0
    for image in bar(found, len(found)):
        for cache in image.path.parent.glob(f"{glob.escape(image.path.stem)}_*{suffix}"):
            width, _, height = cache.name.removesuffix(suffix).rsplit("_", 1)[-1].partition("x")
            if width.isdigit() and height.isdigit():
                image.size = (int(width), int(height))
                count += 1
                break
    log("sizes_set", count=count, total=len(found))


def _split(found: list[Image], share: float, seed: int, *, validation: bool, is_reg: bool) -> list[Image]:
    if is_reg:
        return [] if validation else found
    shuffled = found[:]
    random.Random(seed).shuffle(shuffled)
    if validation:
        return shuffled[len(found) - round(len(found) * share) :]
    return shuffled[: math.ceil(len(found) * (1 - share))]


def _count_tags(dataset: Dataset, folder: str, captions: list[str]) -> None:
    frequency = dataset.tag_frequency.setdefault(folder, {})
    for caption in captions:
        for tag in caption.split(","):
            if word := tag.strip().lower():
                frequency[word] = frequency.get(word, 0) + 1
