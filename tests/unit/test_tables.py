"""Tables that people copy from: nothing is cut, however narrow the terminal."""

from __future__ import annotations

from io import StringIO

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from cli.tables import fitting, show

HEADERS = ("stack", "id", "GPU", "left out", "left out first")
SPARE = ("left out first", "left out")
words = st.text("ab19_.[]/-", min_size=1, max_size=24)
cells = st.lists(words, max_size=4).map(" ".join)
rows = st.lists(st.tuples(words, words, cells, cells, cells), min_size=1, max_size=5)


def told(found: list[tuple[str, ...]], width: int, *, terminal: bool) -> list[str]:
    """The lines below the header's rule."""
    table = Table(*HEADERS)
    for row in found:
        table.add_row(*row)
    said = StringIO()
    show(Console(file=said, width=width, force_terminal=terminal, color_system=None), table, SPARE)
    return said.getvalue().splitlines()


@settings(max_examples=40)
@given(rows, st.integers(1, 160))
def test_each_word_that_is_not_spared_is_there_whole(found: list[tuple[str, ...]], width: int) -> None:
    said = " ".join(told(found, width, terminal=True)).split()

    assert {word for row in found for cell in row[:3] for word in cell.split()} <= {*said}


@settings(max_examples=40)
@given(rows, st.integers(1, 160))
def test_what_is_no_terminal_gets_each_row_whole_on_a_line(found: list[tuple[str, ...]], width: int) -> None:
    _, _, *lines = told(found, width, terminal=False)

    assert [line.split() for line in lines if line] == [" ".join(row).split() for row in found]


@settings(max_examples=40)
@given(rows, st.integers(60, 160))
def test_lines_are_no_longer_than_the_terminal_where_words_fit(
    found: list[tuple[str, ...]], width: int
) -> None:
    lines = told(found, width, terminal=True)
    least = sum(max(len(word) for row in [*found, HEADERS] for word in row[n].split()) for n in range(3))

    assert max(map(len, lines)) <= max(width, least + 4)


def test_columns_are_spared_one_by_one_and_only_where_it_is_too_narrow() -> None:
    row = ("train", "27100300", "1x RTX 4090", "node", "3.5 h")
    heads = [told([row], width, terminal=True)[0] for width in (60, 45, 30)]

    assert heads[0].split() == " ".join(HEADERS).split()
    assert heads[1].split() == ["stack", "id", "GPU", "left", "out"]
    assert heads[2].split() == ["stack", "id", "GPU"]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=6), st.integers(0, 300))
def test_widths_fit_where_they_can_and_only_broad_ones_are_cut_back(
    columns: list[tuple[int, int]], room: int
) -> None:
    whole, least = [max(each) for each in columns], [min(each) for each in columns]
    found = fitting(whole, least, room)

    assert all(low <= width <= high for low, width, high in zip(least, found, whole, strict=True))
    assert sum(found) == max(min(sum(whole), room), sum(least))
