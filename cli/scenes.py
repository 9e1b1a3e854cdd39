"""The demo's dataset: small landscapes, each drawn from a few choices that its caption names."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from pathlib import Path

_SIZES: Final = ((1024, 1024), (1216, 832), (832, 1216), (1152, 896))
_SKIES: Final = {
    "at dawn": ((252, 196, 160), (116, 140, 190), (255, 222, 150)),
    "at noon": ((190, 224, 246), (70, 140, 214), (255, 248, 210)),
    "at dusk": ((240, 130, 90), (70, 56, 110), (255, 160, 90)),
    "at night": ((40, 54, 92), (12, 16, 38), (236, 238, 246)),
}
_HILLS: Final = {
    "green hills": (70, 130, 70),
    "red hills": (170, 86, 60),
    "snowy hills": (214, 224, 236),
    "blue hills": (72, 98, 140),
}
_GROUND: Final = ("a lake", "a meadow", "a wheat field", "a beach")
_GROUND_COLOURS: Final = ((72, 118, 160), (96, 150, 76), (206, 172, 84), (226, 206, 160))
_DETAILS: Final = ("a lone tree", "a small house", "a sailing boat", "three birds")

Colour = tuple[int, int, int]


def make(folder: Path, count: int) -> None:
    """Draw `count` scenes with captions into `folder`; the same ones every time."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        draws = random.Random(number)  # noqa: S311 - pictures, not secrets
        time, hills = draws.choice(list(_SKIES)), draws.choice(list(_HILLS))
        ground, detail = draws.randrange(len(_GROUND)), draws.choice(_DETAILS)
        image = _scene(draws, _SIZES[number % len(_SIZES)], time, hills, ground, detail)
        image.save(folder / f"scene{number:02}.png", compress_level=1)
        caption = f"papercut landscape, {hills} behind {_GROUND[ground]} {time}, {detail}\n"
        (folder / f"scene{number:02}.txt").write_text(caption, encoding="utf-8")


def _scene(
    draws: random.Random, size: tuple[int, int], time: str, hills: str, ground: int, detail: str
) -> Image.Image:
    width, height = size
    low, high, sun = _SKIES[time]
    image = Image.new("RGB", size)
    pen = ImageDraw.Draw(image)
    for row in range(height):
        pen.line([(0, row), (width, row)], fill=_mix(high, low, row / height))
    x, y, radius = draws.uniform(0.2, 0.8) * width, draws.uniform(0.12, 0.35) * height, 0.06 * width
    for halo in range(6, 0, -1):
        grown = radius * (1 + halo * 0.25)
        pen.ellipse([x - grown, y - grown, x + grown, y + grown], fill=_mix(sun, low, 0.35 + halo * 0.1))
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=sun)
    for layer in range(4):
        base = height * (0.45 + 0.09 * layer)
        colour = _mix(low, _HILLS[hills], 0.35 + 0.2 * layer)
        waves = [(draws.uniform(1, 5), draws.uniform(0, 6.3), draws.uniform(0.01, 0.05)) for _ in range(3)]
        ridge = [
            (
                x,
                base
                + sum(
                    height * tall * math.sin(speed * 6.3 * x / width + shift) for speed, shift, tall in waves
                ),
            )
            for x in range(0, width + 8, 8)
        ]
        pen.polygon([*ridge, (width, height), (0, height)], fill=colour)
    horizon = height * 0.8
    colour = _mix(_GROUND_COLOURS[ground], high, 0.55 if time == "at night" else 0.1)
    pen.rectangle([0, horizon, width, height], fill=colour)
    for row in range(8):
        y = horizon + (height - horizon) * (row / 8) ** 1.5
        pen.line([(0, y), (width, y)], fill=_mix(colour, high, 0.15), width=2)
    _detail(pen, detail, draws.uniform(0.25, 0.75) * width, horizon, width * 0.09)
    return image


def _detail(pen: ImageDraw.ImageDraw, detail: str, x: float, y: float, size: float) -> None:
    dark, light = (52, 40, 36), (238, 230, 214)
    if detail == "a lone tree":
        pen.rectangle([x - size * 0.08, y - size, x + size * 0.08, y + size * 0.2], fill=dark)
        for dx, dy in ((-0.35, -1.1), (0.35, -1.1), (0, -1.5)):
            cx, cy = x + dx * size, y + dy * size
            pen.ellipse(
                [cx - size * 0.5, cy - size * 0.5, cx + size * 0.5, cy + size * 0.5], fill=(44, 92, 58)
            )
    elif detail == "a small house":
        pen.rectangle([x - size * 0.6, y - size * 0.6, x + size * 0.6, y + size * 0.2], fill=light)
        roof = [(x - size * 0.8, y - size * 0.6), (x, y - size * 1.3), (x + size * 0.8, y - size * 0.6)]
        pen.polygon(roof, fill=(150, 60, 48))
        pen.rectangle([x - size * 0.15, y - size * 0.3, x + size * 0.15, y + size * 0.2], fill=dark)
    elif detail == "a sailing boat":
        pen.polygon([(x, y - size * 1.4), (x, y - size * 0.1), (x + size * 0.8, y - size * 0.1)], fill=light)
        hull = [
            (x - size * 0.7, y),
            (x + size * 0.9, y),
            (x + size * 0.5, y + size * 0.3),
            (x - size * 0.4, y + size * 0.3),
        ]
        pen.polygon(hull, fill=dark)
    else:
        for dx, dy in ((-0.8, -4.0), (0.1, -4.5), (0.9, -3.9)):
            cx, cy = x + dx * size, y + dy * size
            pen.arc([cx - size * 0.4, cy, cx, cy + size * 0.3], 180, 360, fill=dark, width=5)
            pen.arc([cx, cy, cx + size * 0.4, cy + size * 0.3], 180, 360, fill=dark, width=5)


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return the colour that is `share` of the way from `one` to `other`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
