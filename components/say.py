"""Tells a person what happens while it happens: the engine shows what a plugin prints."""

from __future__ import annotations


def say(*words: str) -> None:
    """Print one line at once."""
    print(*words, flush=True)  # noqa: T201 - printing is its purpose
