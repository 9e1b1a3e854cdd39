"""A run's folder: `run.json` and `run.html` in it, each whole at every moment."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from components.errors import FraguaError
from components.home import replace
from components.record.model import VERSION, Record
from components.record.page import html
from components.record.picture import Picture, shrink
from components.record.thinning import thin

if TYPE_CHECKING:
    from pathlib import Path

JSON: Final = "run.json"
PAGE: Final = "run.html"


class RecordUnusable(FraguaError):
    """A run's record cannot be read or written."""


def write(record: Record, folder: Path) -> None:
    """Write the record, its loss points thinned, and its page, with the sample images that lie in `folder`.

    Raises:
        RecordUnusable: a file cannot be written. What was there before is as it was.
    """
    record = record.model_copy(update={"loss": thin(record.loss)})
    _replace(folder / JSON, record.model_dump_json(indent=1) + "\n")
    pictures = {
        sample.file: picture
        for sample in record.samples
        if (picture := _picture(folder / sample.file)) is not None
    }
    _replace(folder / PAGE, html(record, pictures))


def read(folder: Path) -> Record | None:
    """Return the record of the run in `folder`; None where there is none.

    Raises:
        RecordUnusable: it is damaged, or a newer fragua wrote it.
    """
    path = folder / JSON
    try:
        content = json.loads(path.read_bytes())
        version = content.get("version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise RecordUnusable(
                f"{path}: a newer fragua wrote it (format {version}, this one knows {VERSION}): "
                "update fragua, or move the file away to begin a new record"
            )
        return Record.model_validate(content)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordUnusable(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        what = str(error)
    raise RecordUnusable(
        f"{path}: damaged: {what}. Take it from a backup, or move it away to begin a new record; "
        "the checkpoints beside it are not touched"
    )


def every(home: Path) -> tuple[dict[Path, Record], list[RecordUnusable]]:
    """Return the records of all runs at `home`, by their folders, and why others cannot be read."""
    found: dict[Path, Record] = {}
    unusable: list[RecordUnusable] = []
    for path in sorted(home.glob(f"*/*/{JSON}")):
        try:
            if record := read(path.parent):
                found[path.parent] = record
        except RecordUnusable as error:
            unusable.append(error)
    return found, unusable


def _replace(path: Path, text: str) -> None:
    try:
        replace(path, text)
    except OSError as error:
        raise RecordUnusable(f"{path}: cannot be written: {error.strerror}") from None


def _picture(path: Path) -> Picture | None:
    try:
        return _shrunk(path, path.stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=2048)
def _shrunk(path: Path, _changed: int) -> Picture | None:
    return shrink(path.read_bytes())
