"""Images on disk: written under the next free name, with the graph in them."""

from __future__ import annotations

import json
import os
import random
import re
import string
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL.PngImagePlugin import PngInfo

if TYPE_CHECKING:
    from programs.comfyui.sampling import Images


def temporary_prefix() -> str:
    """Return a prefix that no other preview has."""
    return "ComfyUI_temp_" + "".join(random.choices(string.ascii_lowercase, k=5))


def save(
    images: Images, prefix: str, folder: Path, kind: str, metadata: dict[str, Any] | None
) -> list[dict[str, str]]:
    """Write images as PNG and return what names them in a prompt's outputs.

    Args:
        images: of one size.
        prefix: may have folders in it, and `%width%` and the like.
        folder: what they are to lie in.
        kind: its name in the API.
        metadata: texts to put in each, as JSON; None for none.

    Raises:
        Exception: the prefix leads out of the folder.
    """
    width, height = images[0].size
    now = time.localtime()
    values = {
        "width": width, "height": height, "year": now.tm_year, "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}", "hour": f"{now.tm_hour:02}", "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }  # fmt: skip
    for name, value in values.items():
        prefix = prefix.replace(f"%{name}%", str(value))
    prefix = os.path.normpath(prefix)
    subfolder, stem = os.path.split(prefix)
    target = os.path.normpath(folder / subfolder)
    common = os.path.commonpath((folder, target))
    if common != str(folder):
        raise Exception(  # noqa: TRY002 - the real one's
            "**** ERROR: Saving image outside the output folder is not allowed.\n full_output_folder: "
            f"{target}\n         output_dir: {folder}\n         commonpath: {common}"
        )
    Path(target).mkdir(parents=True, exist_ok=True)
    number = re.compile(re.escape(stem) + r"_(\d+)_", re.IGNORECASE)
    taken = [int(found[1]) for path in Path(target).iterdir() if (found := number.match(path.name))]
    text = PngInfo()
    for key, value in (metadata or {}).items():
        text.add_text(key, json.dumps(value))
    written = []
    for index, image in enumerate(images):
        name = f"{stem.replace('%batch_num%', str(index))}_{max(taken, default=0) + 1 + index:05}_.png"
        image.save(Path(target, name), pnginfo=text, compress_level=1)
        written.append({"filename": name, "subfolder": subfolder, "type": kind})
    return written
