"""Sample images while training: when they are drawn, from which prompts, and the files that come of it.

The pictures are colour gradients that depend on the seed, the prompt and how far training has come.
"""

from __future__ import annotations

import json
import random
import re
import struct
import time
import tomllib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware import clock

from library import memory, speed
from library.console import Failure, log
from library.progress import Bar

if TYPE_CHECKING:
    import argparse

_FIELDS = {
    "w": ("width", int),
    "h": ("height", int),
    "d": ("seed", int),
    "s": ("sample_steps", int),
    "l": ("scale", float),
    "n": ("negative_prompt", str),
    "ss": ("sample_sampler", str),
}


def due(args: argparse.Namespace, epoch: int | None, step: int) -> bool:
    """Return whether previews are drawn now: at the start, after an epoch, or after a step (epoch None)."""
    if step == 0:
        return bool(args.sample_at_first)
    if args.sample_every_n_epochs is not None:
        return epoch is not None and epoch % args.sample_every_n_epochs == 0
    every = args.sample_every_n_steps
    return every is not None and epoch is None and step % every == 0


def draw(args: argparse.Namespace, epoch: int | None, step: int, keeps: float, processes: int) -> None:
    """Draw the previews of this moment, if any are due.

    Args:
        args: the command line.
        epoch: the epoch that ends, None after a step.
        step: optimizer steps so far.
        keeps: bytes of GPU memory that the training holds meanwhile.
        processes: how many GPUs share the prompts.

    Raises:
        Failure: no prompts on the command line, out of GPU memory.
    """
    if not due(args, epoch, step):
        return
    log("blank", line=6393)
    log("sampling", step=step)
    if args.sample_prompts is None:
        raise Failure("TypeError", "stat: path should be string, bytes, os.PathLike or integer, not NoneType")
    if not Path(args.sample_prompts).is_file():
        log("no_prompts", path=args.sample_prompts)
        return
    if args.output_dir is None:
        raise Failure("TypeError", "unsupported operand type(s) for +: 'NoneType' and 'str'")
    folder = Path(args.output_dir, "sample")
    folder.mkdir(parents=True, exist_ok=True)
    for number, prompt in enumerate(_prompts(Path(args.sample_prompts))):
        _draw_one(args, prompt, number, epoch, step, folder, keeps, processes)


def parse_line(line: str) -> dict[str, Any]:
    """Read a prompt with its options: `a cat --n blurry --w 1024 --d 42`."""
    text, *options = line.split(" --")
    found: dict[str, Any] = {"prompt": text}
    for option in options:
        match = re.match(r"(\w+) (.+)", option)
        if match and match.group(1).lower() in _FIELDS:
            name, kind = _FIELDS[match.group(1).lower()]
            found[name] = kind(match.group(2))
    return found


def _prompts(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".toml":
        data = tomllib.loads(text)["prompt"]
        return [
            {**{key: value for key, value in data.items() if key != "subset"}, **one}
            for one in data["subset"]
        ]
    if path.suffix == ".json":
        return [parse_line(one) if isinstance(one, str) else one for one in json.loads(text)]
    if path.suffix != ".txt":
        raise Failure(
            "UnboundLocalError",
            "cannot access local variable 'prompts' where it is not associated with a value",
        )
    return [parse_line(line.strip()) for line in text.splitlines() if line.strip() and line[0] != "#"]


def _draw_one(
    args: argparse.Namespace,
    prompt: dict[str, Any],
    number: int,
    epoch: int | None,
    step: int,
    folder: Path,
    keeps: float,
    processes: int,
) -> None:
    width = max(64, prompt.get("width", 512) // 8 * 8)
    height = max(64, prompt.get("height", 512) // 8 * 8)
    steps, seed = prompt.get("sample_steps", 30), prompt.get("seed")
    lines = {
        "prompt": (6542, prompt.get("prompt", "")),
        "negative_prompt": (6543, prompt.get("negative_prompt")),
        "height": (6544, height),
        "width": (6545, width),
        "sample_steps": (6546, steps),
        "scale": (6547, prompt.get("scale", 7.5)),
        "sample_sampler": (6548, prompt.get("sample_sampler", args.sample_sampler)),
    }
    if seed is not None:
        lines["seed"] = (6550, seed)
    for name, (line, value) in lines.items():
        log("prompt", line=line, name=name, value=value)
    memory.require(memory.preview(keeps, width, height), processes, 97)
    is_sdxl = hasattr(args, "cache_text_encoder_outputs")
    bar = Bar(steps, leave=not is_sdxl)  # the pipeline of SD1 leaves its bars behind
    for _ in range(steps):
        clock.sleep(speed.preview(width, height, steps) / steps / processes)
        bar.update()
    bar.close()
    prefix = "" if args.output_name is None else f"{args.output_name}_"
    moment = f"{step:06d}" if epoch is None else f"e{epoch:06d}"
    suffix = "" if seed is None else f"_{seed}"
    name = f"{prefix}{moment}_{number:02d}_{time.strftime('%Y%m%d%H%M%S')}{suffix}.png"
    (folder / name).write_bytes(_picture(width, height, f"{prompt.get('prompt')}|{seed}|{step}"))


def _picture(width: int, height: int, mark: str) -> bytes:
    """Return a PNG: a gradient between four corner colours."""
    rng = random.Random(mark)
    left, right = ([rng.randrange(256) for _ in range(3)] for _ in range(2))
    line = bytes(
        left[channel] + (right[channel] - left[channel]) * x // max(1, width - 1)
        for x in range(width)
        for channel in range(3)
    )
    shades = [bytes(value * (height - y) // height for value in range(256)) for y in range(height)]
    rows = b"".join(b"\x00" + line.translate(shade) for shade in shades)
    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
