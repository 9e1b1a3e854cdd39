"""What an answer of the API's means where parts of it are null, missing or of another kind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import ReplyLost
from components.vast.wire import Charge, Instance, Offer, Wire

ROWS: dict[type[Wire], dict[str, Any]] = {
    Instance: {"id": 1, "machine_id": 2, "gpu_name": "RTX 4090", "num_gpus": 1, "gpu_ram": 24564},
    Offer: {
        "id": 1,
        "machine_id": 2,
        "gpu_name": "RTX 4090",
        "num_gpus": 1,
        "gpu_ram": 24564,
        "disk_space": 100,
        "dph_total": 0.5,
    },
    Charge: {},
}


@pytest.mark.parametrize("model", ROWS)
@given(data=st.data())
def test_a_field_that_is_null_is_as_one_that_is_missing(model: type[Wire], data: st.DataObject) -> None:
    needed = ROWS[model]
    names = st.sampled_from(sorted({*model.model_fields, "verified", "reliability2"} - {*needed}))
    nulls = dict.fromkeys(data.draw(st.sets(names)))

    assert model.read({**nulls, **needed}) == model.read(needed)


@pytest.mark.parametrize(("model", "name"), [(model, name) for model, row in ROWS.items() for name in row])
@pytest.mark.parametrize("missing", [True, False])
def test_a_row_that_lacks_what_is_needed_says_what(model: type[Wire], name: str, missing: bool) -> None:
    row = {**ROWS[model], name: None}
    if missing:
        del row[name]
    with pytest.raises(ReplyLost, match=rf"cannot be read: {model.__name__.lower()}\.{name}: "):
        model.read_list([ROWS[model], row])


def test_what_an_answer_holds_is_in_no_error() -> None:
    for rows in ({"api_key": "canary"}, "canary", [{**ROWS[Instance], "id": "canary"}], ["canary"]):
        with pytest.raises(ReplyLost) as caught:
            Instance.read_list(rows)
        assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_the_reliability_that_there_is_counts() -> None:
    offer = Offer.read({**ROWS[Offer], "reliability": None, "reliability2": 0.9})

    assert offer.reliability == 0.9


@pytest.mark.parametrize("rows", [None, {}, "", 0, {"1": {}}])
def test_no_list_is_no_answer_and_an_empty_one_is(rows: Any) -> None:
    with pytest.raises(ReplyLost, match="no list"):
        Charge.read_list(rows)

    assert Charge.read_list([]) == []
