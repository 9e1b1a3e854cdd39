"""HTML by construction: whatever is not markup already is escaped. Pure."""

from __future__ import annotations

import re
from html import escape
from typing import Final

_EMPTY: Final = frozenset({"img", "meta"})
_CONTROL: Final = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""What HTML does not allow in a text."""


class Markup(str):
    """HTML that is ready; every other text becomes it by escaping."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str | float | None) -> Markup:
    """Return an element.

    `class_` becomes `class`, and `data_label` `data-label`; an attribute that is None is left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>" if name in _EMPTY else f"<{name}{given}>{join(*content)}</{name}>")


def join(*content: str) -> Markup:
    """Return texts and markup as one piece of markup."""
    return Markup("".join(piece if isinstance(piece, Markup) else _escape(piece) for piece in content))


def _escape(text: str) -> str:
    return escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))
