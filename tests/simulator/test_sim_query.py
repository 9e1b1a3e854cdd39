"""The filter grammar against an independent reading of it."""

from __future__ import annotations

import operator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import APIError
from simulator.query import compile_filters, sort_rows

TYPES: dict[str, type] = {"n": float, "s": str, "b": bool}
COMPARE = {
    "eq": operator.eq, "neq": operator.ne, "gt": operator.gt, "gte": operator.ge,
    "lt": operator.lt, "lte": operator.le,
}  # fmt: skip
values = st.one_of(st.none(), st.integers(-5, 5), st.floats(-5, 5))
rows = st.fixed_dictionaries({"n": values, "s": st.sampled_from(["", "a", "RTX 4090"]), "b": st.booleans()})


@given(row=rows, op=st.sampled_from(sorted(COMPARE)), target=st.integers(-5, 5), as_text=st.booleans())
def test_a_number_compares_as_python_does_and_text_is_cast(row: Any, op: str, target: int, as_text: bool):
    sent = str(target) if as_text else target
    expected = op == "neq" if row["n"] is None else COMPARE[op](row["n"], target)
    assert compile_filters({"n": {op: sent}}, TYPES)(row) is expected


@given(row=rows, wanted=st.lists(st.integers(-5, 5)))
def test_in_and_notin_are_opposites(row: Any, wanted: list[int]):
    inside = compile_filters({"n": {"in": wanted}}, TYPES)(row)
    assert inside is (row["n"] in wanted)
    assert compile_filters({"n": {"notin": wanted}}, TYPES)(row) is not inside


@given(row=rows, low=st.integers(-5, 5), high=st.integers(-5, 5), flag=st.booleans())
def test_every_condition_has_to_hold(row: Any, low: int, high: int, flag: bool):
    both = compile_filters({"n": {"gte": low, "lte": high}, "b": {"eq": flag}}, TYPES)(row)
    assert both is (row["n"] is not None and low <= row["n"] <= high and row["b"] is flag)


@given(
    st.lists(rows), st.lists(st.tuples(st.sampled_from("nsb"), st.sampled_from(["asc", "desc"])), max_size=3)
)
def test_sorting_is_by_each_key_in_turn_with_nulls_last(table: list[Any], order: list[tuple[str, str]]):
    result = sort_rows(table, order)
    assert sorted(map(repr, result)) == sorted(map(repr, table))
    for before, after in pairwise(result):
        for name, direction in order:
            left, right = before[name], after[name]
            if left is None or right is None:
                assert left is not None or right is None
            elif left != right:
                assert (left < right) is (direction == "asc")
            if left != right:
                break


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({"nope": {"eq": 1}}, "nope is not a valid search key"),
        ({"n": {"like": 1}}, "'like' is not an operator"),
        ({"n": 5}, "n: expected"),
        ({"n": {"gte": "many"}}, "'many' is not a float"),
        ({"n": {"gte": None}}, "null cannot be ordered"),
        ({"b": {"eq": "yes"}}, "'yes' is not a bool"),
        ({"n": {"in": 3}}, "in needs a list"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(filters: Any, named: str):
    with pytest.raises(APIError, match=named) as refused:
        compile_filters(filters, TYPES)
    assert (refused.value.status, refused.value.error) == (400, "invalid_request")
