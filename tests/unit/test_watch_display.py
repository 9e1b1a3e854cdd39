"""What `fragua watch` shows of a running training, on terminals of every size."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from cli.dashboard import line, view
from components.kohya.progress import Progress
from components.remote.gauges import Gauges, GpuGauge

GOLDEN = Path(__file__).parent / "data" / "watch_display.txt"
GPU = GpuGauge(0, 98, 18744, 24564, 71, 412.37)
GAUGES = Gauges(
    (GPU, GpuGauge(1, None, 512, 24564, 84, None)),
    disk_used=41.2,
    disk_total=100,
    ram_used=61.5,
    ram_total=67.1,
    load=6.21,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
READING = st.none() | st.floats(0, 1e9)
POINTS = st.one_of(
    st.lists(FINITE, max_size=512),
    st.lists(st.floats(0.01, 0.5), max_size=512),
    st.builds(lambda loss, count: [loss] * count, FINITE, st.integers(0, 512)),
)
AMOUNT = st.floats(0, 1e6)
MACHINES = st.builds(
    Gauges,
    st.lists(st.builds(GpuGauge, st.integers(0, 15), *[READING] * 5), max_size=8).map(tuple),
    *[AMOUNT] * 4,
    st.none() | AMOUNT,
)


def running(steps: int = 620, total: int = 1000) -> Progress:
    """Return what the log of `steps` steps tells: a loss that falls, and jumps about."""
    progress = Progress()
    for step in range(1, steps + 1):
        loss = 0.08 + 3 / (step + 40) + (step * 37 % 101 - 50) / 2500
        if step % 100 == 1:
            progress.read(f"\nepoch {step // 100 + 1}/10\n")
        progress.read(f"\rsteps:  1%|#| {step}/{total} [00:10<00:10,  1.32s/it, avr_loss={loss:.4f}]")
    return progress


def printed(
    progress: Progress,
    gauges: Gauges | None = None,
    price: float | None = None,
    width: int = 80,
    height: int = 40,
    **console: object,
) -> str:
    to = Console(file=io.StringIO(), width=width, height=height, highlight=False, **console)  # type: ignore[arg-type]
    to.print(view(progress, gauges, price, 2100, width))
    return to.file.getvalue()  # type: ignore[attr-defined]


def test_the_panel_looks_as_it_was_found_good() -> None:
    for soft_wrap in (False, True):  # as consoles are, and as the commands' own is
        shown = (printed(running(), GAUGES, 0.42, width, soft_wrap=soft_wrap) for width in (40, 80, 120))
        assert "".join(shown) == GOLDEN.read_text(encoding="utf-8")


def test_the_line_says_the_same_in_ascii() -> None:
    assert line(running(), GAUGES, 0.42, 2100) == (
        "training, epoch 7/10, step 620/1000, loss 0.0697, 0:08:21 left, 1.32 s/it, $0.24 so far, "
        "about $0.30 in all, $0.420/h, GPU 0 98 % 18.3/24.0 GiB 71 C 412 W, GPU 1 0.5/24.0 GiB 84 C, "
        "disk 41/100 GB, RAM 62/67 GB, load 6.2"
    )
    assert line(Progress(), None, None, 0) == "waiting for the first step"


@given(POINTS, st.none() | MACHINES, st.none() | AMOUNT, st.integers(40, 200), st.integers(5, 60))
@example([1.7e308, -1.7e308], None, None, 40, 40)
@example([5e-324, 0.0], None, None, 200, 40)
@example([1e17, 1e17 + 16], None, None, 80, 12)
@example([0.1, 0.2], Gauges((GpuGauge(0, *[1e9] * 5),)), None, 40, 16)
def test_nothing_is_wider_than_its_terminal_nor_higher_for_the_curve(
    losses: list[float], gauges: Gauges | None, price: float | None, width: int, height: int
) -> None:
    progress = replace(running(8), points=tuple(enumerate(losses, 1)))
    rows = printed(progress, gauges, price, width, height).splitlines()
    without = printed(replace(progress, points=()), gauges, price, width, height).splitlines()

    assert {cell_len(row) for row in rows} == {width}
    assert len(rows) in {len(without), *range(len(without) + 6, min(height, len(without) + 12) + 1)}
    assert line(progress, gauges, price, 60).isascii()
    assert "\n" not in line(progress, gauges, price, 60)


@given(st.integers(0, 10**12), st.integers(0, 10**12), FINITE, st.floats(0, 1e9), st.integers(40, 200))
def test_no_progress_is_too_strange(step: int, total: int, loss: float, rate: float, width: int) -> None:
    progress = Progress(step, total, 10**6, 10**6, loss, rate)
    rows = printed(progress, GAUGES, 1e6, width).splitlines()
    assert {cell_len(row) for row in rows} == {width}


@pytest.mark.parametrize(("height", "rows"), [(40, 10), (17, 10), (16, 9), (11, 4), (10, 0)])
def test_the_curve_is_as_high_as_there_is_room(height: int, rows: int) -> None:
    shown = printed(running(), None, 0.42, height=height).splitlines()
    without = printed(replace(running(), points=()), None, 0.42, height=height).splitlines()
    assert len(shown) - len(without) == (rows + 2 if rows else 0)
    assert not rows or sum("┤" in row for row in shown) > 1
    assert any("step 1 " in row for row in shown) == (rows > 0)


def test_what_is_not_known_takes_no_room() -> None:
    nothing = printed(running(), None)
    assert printed(running(), Gauges()) == nothing
    silent = printed(running(), Gauges((GpuGauge(3, *[None] * 5),))).splitlines()
    assert silent[-2].strip("│ ") == "GPU 3"
    assert len(silent) == len(nothing.splitlines()) + 1


def test_a_falling_loss_falls_from_left_to_right() -> None:
    points = tuple((step, 1 - step / 100) for step in range(101))
    shown = printed(replace(running(), points=points), height=40).splitlines()
    plot = [row.replace("┤", "│").split("│")[2] for row in shown[4:13]]
    starts = [len(row) - len(row.lstrip()) for row in plot]
    assert starts == sorted(starts)
    assert (starts[0], len(plot[-1].rstrip())) == (0, len(plot[-1]) - 1)


def colours(gauges: Gauges) -> dict[str, str]:
    """Return the colour of each piece of text that has one."""
    to = Console(width=120, height=40, color_system="truecolor", force_terminal=True)
    return {
        piece.text: piece.style.color.name
        for piece in to.render(view(running(), gauges, None, 0, 120))
        if piece.style and piece.style.color
    }


@pytest.mark.parametrize(
    ("temperature", "disk", "expected"),
    [
        (83, 90, {}),
        (84, 90, {" 84 °C": "yellow"}),
        (91, 90, {" 91 °C": "red"}),
        (60, 91, {"91/100 GB": "red"}),
    ],
)
def test_what_is_too_hot_or_full_is_coloured(temperature: int, disk: int, expected: dict[str, str]) -> None:
    shown = colours(Gauges((replace(GPU, temperature=temperature),), disk, 100, 9, 10))
    assert {text: colour for text, colour in shown.items() if "°C" in text or "GB" in text} == expected
    assert ("yellow" in shown.values()) == ("yellow" in expected.values())
    assert ("red" in shown.values()) == ("red" in expected.values())


def test_without_colour_the_same_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = printed(running(), GAUGES, 0.42)
    monkeypatch.setenv("NO_COLOR", "1")
    shown = printed(running(), GAUGES, 0.42, force_terminal=True, color_system="truecolor")
    assert re.sub(r"\x1b\[[012;]*m", "", shown) == plain


def test_an_end_is_told() -> None:
    done = replace(running(1000), finished=True)
    assert "─ trained ─" in printed(done, None, 0.42)
    assert "left" not in printed(done, None, 0.42)
    assert "in all" not in printed(done, None, 0.42)

    broken = replace(running(), loss=float("nan"))
    assert "─ the loss is nan ─" in printed(broken)
    assert "left" not in printed(broken)
    assert line(broken, None, None, 0).startswith("the loss is nan, ")
