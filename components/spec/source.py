"""Where a dataset comes from, as a job file says it: a folder here, or a place that the node fetches from.

The URLs end up in the stack's state and in the job's script on the node: they hold no credentials, but for
the signature of an address that opens one file and expires.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from components.spec.base import Sha256, Spec, TokenName

_ADDRESS: Final = r"^https://[\w.:\[\]-]+([/?][^\s\"\\]*)?$"
_SECRETS: Final = {
    *("token", "access_token", "api_token", "auth_token", "private_token"),
    *("api_key", "apikey", "key", "password", "passwd", "pwd", "secret"),
}
"""What a parameter in an address is called that opens an account."""

_PAGES: Final = {
    r"huggingface\.co/.+/blob/": "write resolve in place of blob",
    r"github\.com/.+/blob/": "write raw in place of blob",
    r"civitai\.com/models/": "take that of its download, https://civitai.com/api/download/models/NUMBER",
    r"(www\.)?dropbox\.com/.*[?&]dl=0": "write dl=1 in place of dl=0",
    r"drive\.google\.com/": "take rclone, since Google gives large files to browsers only",
}
"""Addresses that people copy, which lead to a page about a file, and what to do."""


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None:
        raise ValueError("has a user name or password in it, which would be kept in plain text; leave it out")
    for name in (unquote(part.partition("=")[0]) for part in re.split("[?&;#]", url)[1:]):
        if name.lower().replace("-", "_") in _SECRETS:
            raise ValueError(
                f"has {name}= in it, which would be kept in plain text; leave it out, and name a token for a "
                "model or an archive by `token: NAME` beside the address"
            )
    if not re.search(_ADDRESS, url):
        raise ValueError(f"write an https address, such as https://example.org/it; found {url!r}")
    for page, remedy in _PAGES.items():
        if re.match(f"https://{page}", url):
            raise ValueError(f"{url} is the address of a page, not of a file: {remedy}")
    return url


Url = Annotated[
    str, AfterValidator(_without_credentials), WithJsonSchema({"type": "string", "pattern": _ADDRESS})
]
"""An https address without user name, password and token."""


class Archive(Spec):
    """A zip or tar archive (also .gz, .bz2, .xz) that the node downloads and unpacks."""

    url: Url
    """Where it is; hidden files and what macOS adds in `__MACOSX` are not unpacked."""
    token: TokenName | None = None
    """Sent to the url's host alone; the stack's secret `NAME:token`, or NAME_TOKEN."""
    sha256: Sha256 | None = None
    """Checked after the download; without it the same URL may give another dataset another day."""


class Git(Spec):
    """A git repository, with Git LFS if it uses that, at one commit."""

    url: Url
    """Of the repository."""
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """All 40 digits: a branch moves, and servers give out no abbreviated commits."""


class Rclone(Spec):
    """A folder in object storage, or wherever else rclone reads and writes.

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
