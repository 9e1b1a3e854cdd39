"""Tables of which no word is ever cut: people copy ids and names out of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE
from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Column, Table

_GAP: Final = 2
"""Characters between two columns."""


def show(console: Console, table: Table, spare: Sequence[str] = ()) -> None:
    """Print a table whose cells are plain text, and an empty line.

    On a terminal that is too narrow the columns named in `spare` are left out, the first of them first; then
    cells take several lines, of whole words; at last lines are longer than the terminal. In a pipe or a log
    each row is one line with all columns, however long.

    Args:
        console: where to.
        table: loses columns, and gets its layout here.
        spare: headers of what can be missed.
    """
    room = console.width if console.is_terminal else None
    for header in spare:
        if room is None or sum(map(_whole, table.columns)) + _gaps(table) <= room:
            break
        kept = [column for column in table.columns if column.header != header]
        table.columns = [replace(column, _index=index) for index, column in enumerate(kept)]
    found = [*map(_whole, table.columns)]
    if room is not None:
        found = fitting(found, [*map(_word, table.columns)], room - _gaps(table))
    for column, width in zip(table.columns, found, strict=True):
        column.width = width
    table.width = sum(found) + _gaps(table)
    table.box, table.padding, table.pad_edge, table.show_edge = SIMPLE, (0, _GAP - 1, 0, 0), False, False
    console.print(table, markup=False, crop=False)
    console.print()


def fitting(whole: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return the columns' widths: `whole`, or where that is too much, the widest cut back down to `least`."""
    widths = list(whole)
    while sum(widths) > room and (broad := [n for n, width in enumerate(widths) if width > least[n]]):
        widths[max(broad, key=widths.__getitem__)] -= 1
    return widths


def _gaps(table: Table) -> int:
    return _GAP * (len(table.columns) - 1)


def _whole(column: Column) -> int:
    return max(map(cell_len, _texts(column)))


def _word(column: Column) -> int:
    return max((cell_len(word) for text in _texts(column) for word in text.split()), default=0)


def _texts(column: Column) -> list[str]:
    return [str(each) for each in (column.header, *column.cells, column.footer)]
