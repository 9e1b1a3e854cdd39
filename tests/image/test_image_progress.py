"""Bars and log lines against the real tqdm and the real rich."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from library.progress import Bar, meter, number
from programs.rich_log import RichLog
from rich.console import Console
from rich.logging import RichHandler

# tqdm.format_meter of tqdm 4.67: done, total, elapsed, description, postfix, columns, text.
CASES = json.loads((Path(__file__).parent / "progress_bars.json").read_text())
# What tqdm 4.70 wrote when it was called as the test below calls ours, cut before each line break.
NESTED = "".join(json.loads((Path(__file__).parent / "nested_bars.json").read_text()))


@pytest.mark.parametrize("case", CASES, ids=[case[-1] for case in CASES])
def test_a_bar_is_what_tqdm_draws(case: list) -> None:
    done, total, elapsed, description, postfix, columns, text = case
    assert meter(done, total, elapsed, description, postfix, columns or 0) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0921, "0.0921"),
        (0.1, "0.1"),
        (1e-05, "1e-5"),
        (float("nan"), "nan"),
        (0.13049, "0.13"),
        (12.0, "12"),
    ],
)
def test_a_number_is_what_tqdm_writes(value: float, text: str) -> None:
    assert number(value) == text


WORDS = st.lists(
    st.text(st.sampled_from("abcXYZ0189/_-.:(){}' 画像学習、の数"), min_size=1, max_size=40), max_size=12
)


@given(words=WORDS, width=st.integers(60, 220), source=st.sampled_from(["train_util.py:4772", "lora.py:935"]))
def test_a_log_record_is_set_as_rich_sets_it(words: list[str], width: int, source: str) -> None:
    message = " ".join(words).strip()
    name, line = source.split(":")
    stream = io.StringIO()
    handler = RichHandler(console=Console(file=stream, width=width), log_time_format="[TIME]")
    record = logging.LogRecord("x", logging.INFO, f"/x/{name}", int(line), message, None, None)
    handler.emit(record)

    ours = RichLog(-1)
    ours._width = width
    assert ours.render("INFO", message, source, "[TIME]") + "\n" == stream.getvalue()


def test_a_repeated_time_is_left_out_as_rich_leaves_it_out() -> None:
    log = RichLog(-1)
    first, second = (log.render("INFO", "x", "a.py:1", "[TIME]") for _ in range(2))
    assert first.startswith("[TIME] INFO     x")
    assert second.startswith("       INFO     x")


def test_bars_under_a_bar_move_the_cursor_as_tqdm_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("library.progress.clock.now", lambda: now[0])
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)

    main = Bar(4, "steps")
    now[0] = 2
    main.update()
    preview = Bar(2, leave=False)
    for now[0] in (3, 4):
        preview.update()
    preview.close()
    main.unpause()
    main.set_postfix({"avr_loss": 0.1234})
    validation = Bar(2, "epoch validation steps")
    for now[0], timestep in ((5, 200), (6, 400)):
        validation.update()
        validation.set_postfix({"val_epoch_avg_loss": 0.15, "timestep": timestep})
    main.unpause()
    now[0] = 8
    main.update()
    main.set_postfix({"avr_loss": 0.12})
    again = Bar(2, "epoch validation steps")
    validation.close()
    now[0] = 9
    again.update()
    main.close()
    again.close()

    assert capsys.readouterr().err == NESTED
