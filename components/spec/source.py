"""Where a dataset comes from, as a job file says it: a folder here, or a place that the node fetches from.

The URLs end up in the stack's state and in the job's script on the node: they hold no credentials.
"""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from components.spec.base import Sha256, Spec


def _without_credentials(url: str) -> str:
    if urlsplit(url).username is not None:
        raise ValueError("has a user name or password in it, which would be kept in plain text; leave it out")
    return url


Url = Annotated[str, Field(pattern=r"^https://[^\s\"\\]+$"), AfterValidator(_without_credentials)]
"""An https address without user name and password."""


class Archive(Spec):
    """A zip or tar archive (also .gz, .bz2, .xz) that the node downloads and unpacks."""

    url: Url
    """Where it is; hidden files and what macOS adds in `__MACOSX` are not unpacked."""
    sha256: Sha256 | None = None
    """Checked after the download; without it the same URL may give another dataset another day."""


class Git(Spec):
    """A git repository, with Git LFS if it uses that, at one commit."""

    url: Url
    """Of the repository."""
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """All 40 digits: a branch moves, and servers give out no abbreviated commits."""


class Rclone(Spec):
    """A folder in object storage, or wherever else rclone reads.

    The remote is configured by the environment of this computer, for a remote called `store`:
    RCLONE_CONFIG_STORE_TYPE=s3, RCLONE_CONFIG_STORE_ACCESS_KEY_ID=..., and what else its type needs.
    """

    remote: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
    """The remote's name."""
    path: Annotated[str, Field(pattern=r"^[^\n]+$")]
    """Bucket and folder in it, such as `datasets/cat`."""


class Source(Spec):
    """Where a dataset comes from: exactly one of the four."""

    path: Annotated[str, Field(min_length=1)] | None = None
    """A folder on this computer."""
    archive: Archive | None = None
    """A file that the node downloads and unpacks."""
    git: Git | None = None
    """A repository that the node clones."""
    rclone: Rclone | None = None
    """A folder of a store that rclone reads."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in Source.model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"give exactly one of path, archive, git and rclone; found {found}")
        return self
