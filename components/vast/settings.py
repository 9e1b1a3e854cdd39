"""Where Vast.ai's API is and with which key: from the stack's config or the environment, never from state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from components.errors import VastError

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.vast.client import Api

DEFAULT_URL: Final = "https://console.vast.ai"
_HASTE: Final = (3.0, 8.0)
"""Seconds to connect and to wait, for what a person waits for and may do without."""


class Settings:
    """The account that a provider works with."""

    def __init__(self, config: Callable[[str], str | None] = lambda _: None) -> None:
        """Read `vast:baseUrl` and `vast:apiKey` by `config`, else VAST_URL and VAST_API_KEY."""
        self.url = (config("vast:baseUrl") or os.environ.get("VAST_URL") or DEFAULT_URL).rstrip("/")
        self._key = config("vast:apiKey") or os.environ.get("VAST_API_KEY")

    def api(self, rented_at: str | None = None, *, patient: bool = True) -> Api:
        """Open the API.

        Args:
            rented_at: the base URL at which a resource was made; another one is refused, since there it
                would look as if the resource were gone while it still bills at the first.
            patient: ask again what failed; else each call has one try of a few seconds.

        Raises:
            VastError: no key is set, or the base URL is not the one that the resource was made at.
        """
        if rented_at is not None and rented_at != self.url:
            raise VastError(
                f"this resource was made at {rented_at}, but vast:baseUrl or VAST_URL now says {self.url}. "
                f"Set it back, so that what bills there can be seen and destroyed."
            )
        if not self._key:
            raise VastError(
                "no Vast.ai API key. Set one with `pulumi config set --secret vast:apiKey KEY` or "
                "VAST_API_KEY; to try fragua for nothing, run ./fragua demo or ./fragua simulator."
            )
        from components.vast.client import Api  # noqa: PLC0415 - where the market is, is known without HTTP

        return Api(self.url, self._key) if patient else Api(self.url, self._key, tries=1, timeout=_HASTE)
