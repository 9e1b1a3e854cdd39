"""Images that clients send: a form's parts, and the names under which they are stored."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

if TYPE_CHECKING:
    from programs.comfyui.folders import Folders


class Part(NamedTuple):
    """One field of a form; `filename` is None where it is no file."""

    filename: str | None
    content: bytes


def parts(content_type: str, body: bytes) -> dict[str, Part]:
    """Take a multipart form apart.

    Raises:
        AttributeError: it is none.
    """
    boundary = re.search(r'boundary="?([^";]+)"?', content_type)[1]  # type: ignore[index]
    found = {}
    for chunk in body.split(b"--" + boundary.encode())[1:-1]:
        head, _, content = chunk.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        text = head.decode("utf-8", "replace")
        if name := re.search(r'[; ]name="([^"]*)"', text):
            filename = re.search(r'filename="([^"]*)"', text)
            found[name[1]] = Part(filename[1] if filename else None, content.removesuffix(b"\r\n"))
    return found


def store(form: dict[str, Part], folders: Folders, *, mask: bool) -> dict[str, str] | None:
    """Store the image of a form and return what names it; None where there is none, or outside its folder.

    Raises:
        Exception: an unknown type, an empty name, a mask without its original; the real server answers 500.
    """
    values = {name: part.content.decode() for name, part in form.items() if part.filename is None}
    kind, subfolder = values.get("type", "input"), os.path.normpath(values.get("subfolder") or ".")
    image = form.get("image")
    if image is None or image.filename is None:
        return None
    base = folders.image(kind)
    if base is None or not image.filename:
        raise ValueError(f"type {kind!r}, file name {image.filename!r}")
    original = json.loads(values["original_ref"]) if mask else None
    folder = Path(os.path.normpath(base / subfolder))
    path = Path(os.path.normpath(folder / image.filename))
    if os.path.commonpath((base, path)) != str(base):
        return None
    content = image.content if original is None else _masked(image.content, original, folders)
    folder.mkdir(parents=True, exist_ok=True)
    if content is not None:
        path = _free(path, content, overwrite=values.get("overwrite") in {"true", "1"})
        path.write_bytes(content)
    return {"name": path.name, "subfolder": "" if subfolder == "." else subfolder, "type": kind}


def _free(path: Path, content: bytes, *, overwrite: bool) -> Path:
    """Return a name that is free, or whose file has the same content."""
    free, number = path, 1
    while not overwrite and free.exists() and free.read_bytes() != content:
        free = path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1
    return free


def _masked(mask: bytes, original: dict[str, Any], folders: Folders) -> bytes | None:
    """Return the original with the mask's transparency; None where the original is not there."""
    base = folders.image(original.get("type", "output"))
    file = base and base / original.get("subfolder", "") / Path(original["filename"]).name
    if file is None or not file.is_file():
        return None
    image = Image.open(file).convert("RGBA")
    image.putalpha(Image.open(io.BytesIO(mask)).convert("RGBA").getchannel("A"))
    encoded = io.BytesIO()
    image.save(encoded, "PNG", compress_level=4)
    return encoded.getvalue()
