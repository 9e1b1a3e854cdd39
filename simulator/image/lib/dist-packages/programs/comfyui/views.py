"""`GET /view`: a stored image as it is, smaller, or one channel of it."""

from __future__ import annotations

import io
import mimetypes
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from starlette.responses import FileResponse, Response

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

    from programs.comfyui.folders import Folders

_CODE = {"text/html", "text/html-sandboxed", "application/xhtml+xml", "text/javascript", "text/css"}


def view(query: QueryParams, folders: Folders) -> Response:  # noqa: C901, PLR0911 - one check after the other
    """Answer, with the checks in the real server's order."""
    name = query.get("filename")
    if name is None:
        return Response(status_code=404)
    kind = query.get("type", "output")
    if marked := re.search(r" ?\[(output|input|temp)\]$", name):
        name, kind = name[: marked.start()], marked[1]
    if not name or name[0] == "/" or ".." in name:
        return Response(status_code=400)
    folder = folders.image(kind)
    if folder is None:
        return Response(status_code=400)
    base = folder
    if "subfolder" in query:
        folder = folder / query["subfolder"]
        if os.path.commonpath((os.path.normpath(folder), base)) != str(base):
            return Response(status_code=403)
    file = folder / Path(name).name
    if not file.is_file():
        return Response(status_code=404)
    named = {"Content-Disposition": f'filename="{file.name}"'}
    if "preview" in query:
        return _preview(file, query, named)
    if query.get("channel") in {"rgb", "a"}:
        image = Image.open(file).convert("RGBA")
        if query["channel"] == "rgb":
            return _encoded(image.convert("RGB"), "PNG", named)
        alpha = Image.new("RGBA", image.size)
        alpha.putalpha(image.getchannel("A"))
        return _encoded(alpha, "PNG", named)
    status = file.stat()
    guessed = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return FileResponse(
        file,
        media_type="application/octet-stream" if guessed in _CODE else guessed,
        headers={**named, "ETag": f'"{status.st_mtime_ns:x}-{status.st_size:x}"'},
    )


def _preview(file: Path, query: QueryParams, named: dict[str, str]) -> Response:
    form, _, quality = query["preview"].partition(";")
    form = "jpeg" if form == "jpeg" and "a" not in query.get("channel", "") else "webp"
    image: Image.Image = Image.open(file)
    if form == "jpeg" or query.get("channel") == "rgb":
        image = image.convert("RGB")
    return _encoded(image, form.upper(), named, quality=int(quality) if quality.isdigit() else 90)


def _encoded(image: Image.Image, form: str, named: dict[str, str], **options: int) -> Response:
    encoded = io.BytesIO()
    image.save(encoded, form, **options)
    return Response(encoded.getvalue(), media_type=f"image/{form.lower()}", headers=named)
