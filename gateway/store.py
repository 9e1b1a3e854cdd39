"""What outlives the gateway's process: jobs, and what is known of images. An SQLite file."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import ErrorDetail
from gateway.jobs import ENDED, Job
from gateway.shapes import JobImage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FORGET_SECONDS: Final = 30 * 86400
"""Jobs that ended, and images that are gone, are remembered this long."""

_NEWEST: Final = 100
"""As many jobs are listed."""

_COLUMNS: Final = (
    *("id", "owner", "workflow", "parameters", "created", "key", "fingerprint", "state"),
    *("started", "finished", "seconds", "cost", "prompt_id", "attempts", "error"),
)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS jobs (
  number INTEGER PRIMARY KEY, id TEXT UNIQUE, owner TEXT, workflow TEXT, parameters TEXT, created REAL,
  key TEXT, fingerprint TEXT, state TEXT, started REAL, finished REAL, seconds REAL, cost REAL,
  prompt_id TEXT, attempts INTEGER, error TEXT, UNIQUE (owner, key));
CREATE INDEX IF NOT EXISTS jobs_of_owner ON jobs (owner, number);
CREATE INDEX IF NOT EXISTS jobs_in_state ON jobs (state);
CREATE TABLE IF NOT EXISTS images (
  id TEXT PRIMARY KEY, owner TEXT, job TEXT, width INTEGER, height INTEGER, bytes INTEGER, seed INTEGER,
  created REAL, there INTEGER);
CREATE INDEX IF NOT EXISTS images_of_job ON images (job);
CREATE INDEX IF NOT EXISTS images_there ON images (there, created);
"""


@dataclass(frozen=True)
class Image:
    """What is known of an image; `there`: its file was not removed; `job`: null if it was uploaded."""

    id: str
    owner: str
    job: str | None
    width: int
    height: int
    bytes: int
    seed: int | None
    created: float
    there: bool = True


class Store:
    """The file. Every call is one transaction, which a killed process cannot leave half done."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_SCHEMA}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, job: Job) -> bool:
        """Keep a new job; return whether its owner had none of that key."""
        marks = ", ".join("?" * len(_COLUMNS))
        sql = f"INSERT OR IGNORE INTO jobs ({', '.join(_COLUMNS)}) VALUES ({marks})"  # noqa: S608 - our own words
        return self._db.execute(sql, _values(job)).rowcount == 1

    def save(self, job: Job, images: tuple[Image, ...] = ()) -> None:
        """Keep what became of a job, together with the images it made."""
        columns = ", ".join(f"{name} = ?" for name in _COLUMNS)
        with self._transaction():
            for image in images:
                self.add_image(image)
            self._db.execute(f"UPDATE jobs SET {columns} WHERE id = ?", (*_values(job), job.id))  # noqa: S608

    def job(self, owner: str, id_: str) -> Job | None:
        """Return the owner's job of that id."""
        return next(self._jobs("owner = ? AND id = ?", owner, id_), None)

    def of_key(self, owner: str, key: str) -> Job | None:
        """Return the owner's job that came with that idempotency key."""
        return next(self._jobs("owner = ? AND key = ?", owner, key), None)

    def newest(self, owner: str) -> list[Job]:
        """Return the owner's newest jobs, the newest first."""
        return list(self._jobs("owner = ? ORDER BY number DESC LIMIT ?", owner, _NEWEST))

    def unfinished(self) -> list[Job]:
        """Return all jobs that have not ended, in order."""
        marks = ", ".join("?" * len(ENDED))
        return list(self._jobs(f"state NOT IN ({marks}) ORDER BY number", *ENDED))

    def _jobs(self, where: str, *values: object) -> Iterator[Job]:
        for row in self._db.execute(f"SELECT * FROM jobs WHERE {where}", values).fetchall():  # noqa: S608 - ours
            found: dict[str, Any] = {name: row[name] for name in _COLUMNS}
            found["parameters"] = json.loads(found["parameters"])
            found["error"] = found["error"] and ErrorDetail.model_validate_json(found["error"])
            yield Job(**found, images=[shown(image) for image in self._images("job = ?", found["id"])])

    def add_image(self, image: Image) -> None:
        """Keep what is known of a new image."""
        names = Image.__annotations__
        sql = f"INSERT INTO images ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        self._db.execute(sql, tuple(getattr(image, name) for name in names))

    def image(self, owner: str, id_: str) -> Image | None:
        """Return the owner's image of that id."""
        return next(iter(self._images("owner = ? AND id = ?", owner, id_)), None)

    def image_ids(self) -> set[str]:
        """Return the ids of all images whose files are there."""
        return {row["id"] for row in self._db.execute("SELECT id FROM images WHERE there")}

    def _images(self, where: str, *values: object) -> list[Image]:
        rows = self._db.execute(f"SELECT * FROM images WHERE {where} ORDER BY created, rowid", values)  # noqa: S608
        return [Image(**{**dict(row), "there": bool(row["there"])}) for row in rows]

    def outdated(self, seconds: float, size: float) -> list[Image]:
        """Return the images to remove: those older than `seconds`, and the oldest beyond `size` bytes."""
        oldest = time.time() - seconds
        found, total = [], 0
        for image in reversed(self._images("there")):
            total += image.bytes
            if total > size or image.created < oldest:
                found.append(image)
        return found

    def expire(self, image: Image) -> None:
        """Keep that the image's file is gone."""
        self._db.execute("UPDATE images SET there = 0 WHERE id = ?", (image.id,))

    def forget(self) -> None:
        """Remove what nobody will ask for any more."""
        before = time.time() - _FORGET_SECONDS
        with self._transaction():
            self._db.execute("DELETE FROM jobs WHERE finished < ?", (before,))
            self._db.execute("DELETE FROM images WHERE created < ? AND NOT there", (before,))

    def size(self) -> int:
        """Return the bytes of all images whose files are there."""
        return int(self._db.execute("SELECT coalesce(sum(bytes), 0) FROM images WHERE there").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _values(job: Job) -> tuple[Any, ...]:
    found = {name: getattr(job, name) for name in _COLUMNS}
    found["parameters"] = json.dumps(job.parameters)
    found["error"] = job.error and job.error.model_dump_json()
    return tuple(found.values())


def shown(image: Image) -> JobImage:
    """Return what a job shows of an image."""
    return JobImage(
        url=f"/images/{image.id}",
        width=image.width,
        height=image.height,
        bytes=image.bytes,
        seed=image.seed,
    )
