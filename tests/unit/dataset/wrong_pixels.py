"""Datasets whose images are wrong, and exactly what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dataset_files import encoded, photo, picture
from PIL import Image
from wrong_files import CAPTIONED, Wrong


def image(name: str, content: bytes | Callable[[], bytes], *says: str) -> Wrong:
    """Return a dataset of one good image and one with a caption and something wrong about its pixels."""
    return Wrong(CAPTIONED | {name: content, f"{Path(name).stem}.txt": "a dog"}, says)


turned = Image.Exif()
turned[0x0112] = 6
_STOPS = "or delete it with its caption: sd-scripts would stop at it"

PIXELS = {
    "an empty file": image("b.jpg", b"", f"error: DIR/b.jpg: is empty (0 bytes); replace it, {_STOPS}"),
    "a web page": image(
        "b.jpg",
        b"\n<!DOCTYPE html><html><title>404</title></html>",
        f"error: DIR/b.jpg: is a web page, not an image; replace it, {_STOPS}",
    ),
    "a pointer of Git LFS": image(
        "b.png",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        "error: DIR/b.png: is a Git LFS pointer, not the image: run `git lfs pull`; replace it, " + _STOPS,
    ),
    "HEIC from a phone": image(
        "b.jpg",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        f"error: DIR/b.jpg: is HEIC, not the format of its suffix; replace it, {_STOPS}",
    ),
    "noise": image("b.png", b"\x01\x02" * 50, f"error: DIR/b.png: is no image; replace it, {_STOPS}"),
    "an image cut off": image(
        "b.webp",
        lambda: photo(2, kind="WEBP")[:3000],
        f"error: DIR/b.webp: is cut off or damaged at its beginning; fetch it again, {_STOPS}",
    ),
    "a decompression bomb": image(
        "b.png",
        lambda: encoded(Image.new("1", (20_000, 10_000))),
        "error: DIR/b.png: has more than 178,956,970 pixels; shrink it: Pillow, and so sd-scripts, refuses "
        "it as a decompression bomb",
    ),
    "100 megapixels": image(
        "b.png",
        lambda: encoded(Image.new("1", (10_000, 10_000))),
        "warning: DIR/b.png: has 100 megapixels, 0.3 GB of memory once decoded; shrink it: training uses "
        "no more pixels than its resolution, but has to decode them all",
    ),
    "a tiny image": image(
        "b.png",
        lambda: photo(2, (200, 200), "PNG"),
        "error: DIR/b.png: of 200x200 pixels would be enlarged 5.1 times to 1024x1024; replace it by a "
        "larger one, enlarge it with an upscaler, or leave it out",
    ),
    "a small image": image(
        "b.png",
        lambda: photo(2, (500, 375), "PNG"),
        "warning: DIR/b.png: of 500x375 pixels would be enlarged 2.4 times to 1152x896; replace it by a "
        "larger one, lower the resolution, or leave it out: blur is learnt too",
    ),
    "a panorama": image(
        "b.jpg",
        lambda: photo(2, (6000, 900)),
        "warning: DIR/b.jpg: of 6000x900 pixels keeps 60% of its area in its bucket 2048x512; crop it "
        "yourself to what matters, or allow longer buckets: its edges are cut off",
    ),
    "EXIF orientation": image(
        "b.jpg",
        lambda: photo(2, exif=turned),
        "warning: DIR/b.jpg: has EXIF orientation 6, which sd-scripts ignores: it is trained lying on its "
        "side; turn the pixels themselves, for instance with `mogrify -auto-orient`",
    ),
    "CMYK": image(
        "b.jpg",
        lambda: encoded(picture(2, mode="CMYK"), "JPEG"),
        "warning: DIR/b.jpg: has CMYK colours; convert it to sRGB by its colour profile: sd-scripts "
        "ignores that",
    ),
    "16 bits of grey": image(
        "b.png",
        lambda: encoded(picture(2, mode="I;16")),
        "error: DIR/b.png: has grey levels of more than 8 bits; convert it to 8 bits a channel: sd-scripts "
        "clips it to white",
    ),
    "transparency": image(
        "b.png",
        lambda: encoded(
            Image.merge("RGBA", (*picture(2).split(), Image.linear_gradient("L").resize((1024, 1024))))
        ),
        "warning: DIR/b.png: has transparent pixels; lay it on a background yourself: sd-scripts shows "
        "what colour lies under, often black",
    ),
    "an animation": image(
        "b.webp",
        lambda: encoded(picture(2), "WEBP", save_all=True, append_images=[picture(3)]),
        "warning: DIR/b.webp: is animated (2 frames); save the frames that matter as images: sd-scripts "
        "reads the first only",
    ),
    "a GIF in disguise": image(
        "b.png",
        lambda: encoded(picture(2, mode="P"), "GIF"),
        "warning: DIR/b.png: holds GIF, whatever its suffix says; convert it to PNG or JPEG: another "
        "version of Pillow may not read it",
    ),
    "the same file twice": image(
        "b.jpg",
        CAPTIONED["a.jpg"],
        "warning: DIR/b.jpg: is the same file as a.jpg; delete one, or mean it: it counts twice, like "
        "a repeat",
    ),
    "the same picture twice": image(
        "b.webp",
        lambda: photo(1, (768, 768), "WEBP"),
        "warning: DIR/b.webp: looks like a.jpg; keep the better one: what is there twice is learnt "
        "more strongly",
    ),
}
