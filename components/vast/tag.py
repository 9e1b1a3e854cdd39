"""What an instance's label says of whose it is: the form that `components.vast.request` writes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LABEL: Final = re.compile(r"(.*)/([^/ ]+) (fragua:[0-9a-f]{8}:)([0-9a-f]{8}:)[0-9a-f]{8}")


@dataclass(frozen=True)
class Tag:
    """The label of a machine that fragua rented.

    Attributes:
        words: the stack's name, or the words of `node.label`.
        name: of the machine's resource.
        key: `fragua:KEY:`, of the stack's own SSH key.
    """

    words: str
    name: str
    key: str

    @classmethod
    def read(cls, label: str | None) -> Tag | None:
        """Return what `label` says; None where it is not one of fragua's."""
        match = _LABEL.fullmatch(label or "")
        return cls(match[1], match[2], match[3]) if match else None
