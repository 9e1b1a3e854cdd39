"""What the websocket says, against frames as the real server sent them."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy.events import Executing, Finished, Preview, Progress, Started, parse

PROMPT = "79dd393d-b08b-48a9-8724-8c6f6b4bdfab"
JPEG = b"\xff\xd8\xff\xe0jpeg"
PNG = b"\x89PNG\r\n"


def text(kind, **data):
    return json.dumps({"type": kind, "data": data})


def with_metadata(data, **about):
    metadata = json.dumps(about).encode()
    return struct.pack(">II", 4, len(metadata)) + metadata + data


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        (text("execution_start", prompt_id=PROMPT, timestamp=1795506534293), Started()),
        (text("executing", node="5", display_node="5", prompt_id=PROMPT), Executing("5")),
        (text("progress", value=1, max=3, prompt_id=PROMPT, node="4"), Progress("4", 1, 3)),
        (text("executing", node=None, prompt_id=PROMPT), Finished()),
    ],
)
def test_a_text_frame_is_an_event_of_its_prompt(frame, event):
    assert parse(frame) == (PROMPT, event)


@pytest.mark.parametrize(
    "frame",
    [
        text("status", status={"exec_info": {"queue_remaining": 1}}, sid="c2"),
        text("execution_cached", nodes=[], prompt_id=PROMPT, timestamp=1),
        text("progress_state", prompt_id=PROMPT, nodes={}),
        text("executed", node="7", display_node="7", output=None, prompt_id=PROMPT),
        text("execution_success", prompt_id=PROMPT, timestamp=1),
        text("execution_error", prompt_id=PROMPT, node_id="2"),
        text("feature_flags", supports_preview_metadata=True),
        struct.pack(">II", 3, 1) + b"4step",
    ],
)
def test_what_is_no_event_of_a_prompt_is_passed_over(frame):
    assert parse(frame) is None


def test_the_word_of_a_node_on_reconnecting_is_no_event_as_it_names_no_prompt():
    assert parse(text("executing", node="5")) is None


@pytest.mark.parametrize(("number", "data", "kind"), [(1, JPEG, "jpeg"), (2, PNG, "png")])
def test_a_preview_without_metadata_is_of_the_prompt_that_runs(number, data, kind):
    assert parse(struct.pack(">II", 1, number) + data) == (None, Preview(data, kind))


@pytest.mark.parametrize(("kind", "data"), [("jpeg", JPEG), ("png", PNG)])
def test_a_preview_with_metadata_names_its_prompt(kind, data):
    frame = with_metadata(
        data, node_id="4", prompt_id=PROMPT, display_node_id="4", image_type=f"image/{kind}"
    )
    assert parse(frame) == (PROMPT, Preview(data, kind))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["prompt_id", "node", "value", "max"]), inner)
    ),
    max_leaves=8,
)
kinds = st.sampled_from(["execution_start", "executing", "progress"])


@given(
    st.text()
    | json_values.map(json.dumps)
    | st.builds(lambda kind, data: json.dumps({"type": kind, "data": data}), kinds, json_values)
    | st.binary()
    | st.builds(
        lambda kind, size, rest: struct.pack(">II", kind, size) + rest,
        st.integers(0, 5),
        st.integers(0, 2**32 - 1),
        st.binary(),
    )
    | st.builds(lambda about, data: with_metadata(data, about=about), json_values, st.binary())
)
def test_no_frame_whatever_upsets_the_parser(frame):
    found = parse(frame)
    assert found is None or isinstance(found[1], Started | Executing | Progress | Preview | Finished)
