"""Bars and log lines against the real tqdm and the real rich."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.logging import RichHandler

# tqdm.format_meter of tqdm 4.67: done, total, elapsed, description, postfix, columns, text.
CASES = json.loads((Path(__file__).parent / "progress_bars.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case[-1] for case in CASES])
def test_a_bar_is_what_tqdm_draws(case: list) -> None:
    from library.progress import meter

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
    from library.progress import number

    assert number(value) == text


WORDS = st.lists(
    st.text(st.sampled_from("abcXYZ0189/_-.:(){}' 画像学習、の数"), min_size=1, max_size=40), max_size=12
)


@given(words=WORDS, width=st.integers(60, 220), source=st.sampled_from(["train_util.py:4772", "lora.py:935"]))
def test_a_log_record_is_set_as_rich_sets_it(words: list[str], width: int, source: str) -> None:
    from programs.rich_log import RichLog

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
    from programs.rich_log import RichLog

    log = RichLog(-1)
    first, second = (log.render("INFO", "x", "a.py:1", "[TIME]") for _ in range(2))
    assert first.startswith("[TIME] INFO     x")
    assert second.startswith("       INFO     x")
