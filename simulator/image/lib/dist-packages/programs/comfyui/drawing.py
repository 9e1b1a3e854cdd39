"""The pictures: landscapes in cut paper, made from what a sampler was told. The same words give the same."""

from __future__ import annotations

import colorsys
import hashlib
import math
from random import Random
from typing import NamedTuple

from PIL import Image, ImageDraw

_LAYERS = 6
_STEPS = 64

Color = tuple[int, int, int]


class Scene(NamedTuple):
    """What a picture is drawn from; `place` tells it from the others of its batch."""

    checkpoint: str
    loras: tuple[tuple[str, float], ...]
    positive: str
    negative: str
    seed: int
    steps: int
    cfg: float
    sampler: str
    place: int


def draw(scene: Scene, width: int, height: int) -> Image.Image:
    """Return the picture: the words give its colours, the seed its shapes, the rest the small things."""
    words = Random(hashlib.sha256(f"{scene.checkpoint}\n{scene.positive}".encode()).digest())
    shapes = Random(f"{scene.seed}/{scene.place}/{scene.positive}")
    hue, warmth = words.random(), words.uniform(0.25, 0.5)
    night = words.random() < 0.4
    image = _sky(hue, warmth, night=night).resize((width, height), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(image)
    unit = min(width, height)
    _lights(pen, Random(repr(scene)), width, height, scene.steps)
    _disc(pen, shapes, hue, width, height)
    for layer in range(_LAYERS):
        _hills(pen, shapes, _paper(hue, warmth, layer / (_LAYERS - 1), night=night), layer, width, height)
    for name, strength in scene.loras:
        cut = Random(f"{name}/{scene.seed}/{scene.place}")
        for _ in range(3):
            _rosette(pen, cut, abs(strength) * unit * cut.uniform(0.07, 0.16), width, height)
    return image


def noise(seed: int, size: tuple[int, int]) -> Image.Image:
    """Return what a picture looks like before the first step."""
    return Image.frombytes("RGB", size, Random(seed).randbytes(3 * size[0] * size[1]))


def _color(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(1.0, saturation), min(1.0, value))
    return int(red * 255), int(green * 255), int(blue * 255)


def _sky(hue: float, warmth: float, *, night: bool) -> Image.Image:
    column = Image.new("RGB", (1, 32))
    top, low = (0.18, 0.55) if night else (0.75, 1.0)
    column.putdata([
        _color(hue + warmth * at / 31, 0.55 - 0.3 * at / 31, top + (low - top) * at / 31) for at in range(32)
    ])  # fmt: skip
    return column


def _paper(hue: float, warmth: float, depth: float, *, night: bool) -> Color:
    value = (0.62 if night else 0.86) - 0.5 * depth
    return _color(hue + 0.5 + warmth * (1 - depth) * 0.5, 0.35 + 0.4 * depth, value)


def _lights(pen: ImageDraw.ImageDraw, chance: Random, width: int, height: int, steps: int) -> None:
    for _ in range(16 + min(steps, 60)):
        x, y, r = chance.random() * width, chance.random() * height * 0.55, max(1, height // 400)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(255, 250, 230))


def _disc(pen: ImageDraw.ImageDraw, shapes: Random, hue: float, width: int, height: int) -> None:
    x, y = width * shapes.uniform(0.15, 0.85), height * shapes.uniform(0.12, 0.42)
    radius = min(width, height) * shapes.uniform(0.07, 0.14)
    for scale, value in ((1.5, 0.9), (1.25, 0.95), (1.0, 1.0)):
        r = radius * scale
        pen.ellipse((x - r, y - r, x + r, y + r), fill=_color(hue + 0.1, 0.12 + 0.22 * (1.5 - scale), value))


def _hills(
    pen: ImageDraw.ImageDraw, shapes: Random, color: Color, layer: int, width: int, height: int
) -> None:
    base = height * (0.42 + 0.56 * layer / _LAYERS)
    waves = [
        (shapes.uniform(1, 4) * part, shapes.uniform(0, math.tau), height * shapes.uniform(0.02, 0.1) / part)
        for part in (1, 2, 5)
    ]
    ridge = [
        (
            width * at / _STEPS,
            base
            + sum(
                tall * math.sin(often * at / _STEPS * math.tau / 2 + phase) for often, phase, tall in waves
            ),
        )
        for at in range(_STEPS + 1)
    ]
    pen.polygon([(0, height), *ridge, (width, height)], fill=color)
    for _ in range(3 * layer):
        x, y = ridge[shapes.randrange(len(ridge))]
        tall = height * shapes.uniform(0.02, 0.05) * (1 + layer / 3)
        pen.polygon([(x - tall / 4, y + tall / 6), (x, y - tall), (x + tall / 4, y + tall / 6)], fill=color)


def _rosette(pen: ImageDraw.ImageDraw, cut: Random, radius: float, width: int, height: int) -> None:
    x, y = width * cut.random(), height * cut.random()
    petals, hue = cut.randint(5, 9), cut.random()
    for ring, value in ((1.0, 0.95), (0.72, 0.75), (0.4, 1.0)):
        points = []
        for at in range(petals * 8):
            turn = at / (petals * 8) * math.tau
            reach = radius * ring * (0.72 + 0.28 * math.cos(petals * turn))
            points.append((x + reach * math.cos(turn), y + reach * math.sin(turn)))
        pen.polygon(points, fill=_color(hue + (1 - ring) * 0.3, 0.65, value))
