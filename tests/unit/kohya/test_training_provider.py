"""What makes a training begin anew, and what is taken over while it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from components.kohya.provider import TrainingRunProvider

PROPS = {"machine": 7.0, "run": "cat-12ab34cd", "login": {"host": "h"}, "launch": "{}", "bucket": ""}
BEFORE = {name: value for name, value in PROPS.items() if name != "bucket"}
"""The state of a version that knew no buckets."""


@pytest.mark.parametrize(
    ("olds", "changed", "replaces", "changes"),
    [
        (PROPS, {}, [], False),
        (BEFORE, {}, [], False),
        (PROPS, {"launch": '{"settings": {}}'}, [], False),
        (BEFORE, {"bucket": "store:mine"}, [], True),
        (PROPS, {"bucket": "store:mine"}, [], True),
        (PROPS, {"login": {"host": "other"}}, [], True),
        (PROPS, {"run": "cat-0", "bucket": "store:mine"}, ["run"], True),
        (PROPS, {"machine": 8.0}, ["machine"], True),
    ],
)
def test_only_another_run_or_machine_trains_anew(
    olds: dict[str, Any], changed: dict[str, Any], replaces: list[str], changes: bool
) -> None:
    found = TrainingRunProvider().diff("cat", olds, {**PROPS, **changed})

    assert (found.replaces, found.changes) == (replaces, changes)
