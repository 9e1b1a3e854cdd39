"""Texts that a call prepares and the client fetches later from a link, as Vast does with S3."""

from __future__ import annotations

import secrets

KEPT = 200


class Results:
    """The texts by their secret name; the first look comes too early."""

    def __init__(self) -> None:
        """Start empty."""
        self._texts: dict[str, str] = {}
        self._looked: set[str] = set()

    def add(self, text: str) -> str:
        """Keep a text and return its name."""
        name = secrets.token_urlsafe(16)
        self._texts[name] = text
        while len(self._texts) > KEPT:
            self._looked.discard(oldest := next(iter(self._texts)))
            del self._texts[oldest]
        return name

    def fetch(self, name: str) -> str | None:
        """Return a text; None if it is not there yet, or never was."""
        if name in self._texts and name not in self._looked:
            self._looked.add(name)
            return None
        return self._texts.get(name)
