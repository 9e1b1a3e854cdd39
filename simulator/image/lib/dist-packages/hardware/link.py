"""The machine's way to the internet: bytes take time, and are counted for the bill."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hardware import clock
from hardware.facts import machine, run_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_SECONDS = 0.5
"""Virtual seconds of transfer between two reports: a meter or a killed download is never further off."""


def arriving(total: int) -> Iterator[int]:
    """Yield the sizes of the pieces in which `total` bytes arrive, each after its time, each counted."""
    rate = machine().inet_down * 125_000
    chunk = max(1, int(rate * max(_CHUNK_SECONDS, machine().scale * 0.05)))
    left = total
    while left > 0:
        piece = min(chunk, left)
        clock.sleep(piece / rate)
        _count(piece)
        left -= piece
        yield piece


def _count(size: int) -> None:
    with contextlib.suppress(OSError), run_file("traffic").open("a") as file:
        file.write(f"down {size}\n")
