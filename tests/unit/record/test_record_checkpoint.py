"""Checkpoints looked at by their header: whole files are read, all others refused."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.record.checkpoint import FULL, CheckpointDamaged, check, lora, read_metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METADATA = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4)
SHAPES = st.lists(st.lists(st.integers(1, 3), max_size=3), min_size=1, max_size=4)
WIDTHS = {"F32": 4, "BF16": 2, "U8": 1}


@pytest.fixture(scope="module")
def put(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], Path]:
    """Put bytes into one file, again and again."""
    path = tmp_path_factory.mktemp("checkpoints") / "animal.safetensors"

    def write(content: bytes) -> Path:
        path.write_bytes(content)
        return path

    return write


def pack(header: object) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


def whole(metadata: dict[str, str] | None, shapes: list[list[int]], dtype: str = "F32") -> bytes:
    """Build a file after the format's description, independently of the reader."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    tensors = b""
    for index, shape in enumerate(shapes):
        count = 1
        for side in shape:
            count *= side
        begin = len(tensors)
        tensors += b"\x07" * (count * WIDTHS[dtype])
        header[f"tensor{index}"] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, len(tensors)]}
    return pack(header) + tensors


@given(METADATA, SHAPES, st.sampled_from(list(WIDTHS)))
def test_the_metadata_of_a_whole_file_come_back(
    put: Callable[[bytes], Path], metadata: dict[str, str], shapes: list[list[int]], dtype: str
) -> None:
    assert read_metadata(put(whole(metadata, shapes, dtype))) == metadata


def test_a_file_without_metadata_has_none(put: Callable[[bytes], Path]) -> None:
    assert read_metadata(put(whole(None, [[2]]))) == {}


@given(METADATA, SHAPES, st.data())
def test_any_truncation_is_refused_and_so_is_any_byte_too_many(
    put: Callable[[bytes], Path], metadata: dict[str, str], shapes: list[list[int]], data: st.DataObject
) -> None:
    content = whole(metadata, shapes)
    cut = data.draw(st.integers(0, len(content) - 1), label="bytes left")
    more = data.draw(st.binary(min_size=1, max_size=9), label="bytes too many")
    for wrong in (content[:cut], content + more):
        with pytest.raises(CheckpointDamaged, match=r"animal\.safetensors: not a whole"):
            read_metadata(put(wrong))


@given(st.binary(max_size=200))
def test_anything_else_is_refused_too(put: Callable[[bytes], Path], content: bytes) -> None:
    with pytest.raises(CheckpointDamaged):
        read_metadata(put(content))


def test_the_message_has_both_sizes(put: Callable[[bytes], Path]) -> None:
    content = whole({}, [[1000]])
    path = put(content[:-1])
    with pytest.raises(CheckpointDamaged) as caught:
        read_metadata(path)
    assert str(path) in str(caught.value)
    assert f"describes {len(content):,} bytes, the file has {len(content) - 1:,}" in str(caught.value)


def tensor(begin: int, end: int, shape: Any = (1,), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "size", "words"),
    [
        ([], 0, "not readable"),
        ({}, 0, "no tensors"),
        ({"__metadata__": {"ss_epoch": 1}, "a": tensor(0, 4)}, 4, "not texts"),
        ({"__metadata__": [], "a": tensor(0, 4)}, 4, "not texts"),
        ({"a": tensor(0, 4), "b": tensor(8, 12)}, 12, "back to back"),
        ({"a": tensor(0, 4), "b": tensor(0, 4)}, 4, "back to back"),
        ({"a": tensor(4, 0, dtype="X4")}, 4, "back to back"),
        ({"a": tensor(0, 8)}, 8, "shape denies"),
        ({"a": tensor(0, 4, [-1])}, 4, "does not describe"),
        ({"a": tensor(0, 4, "1")}, 4, "does not describe"),
        ({"a": {"dtype": "F32"}}, 4, "does not describe"),
        ({"a": 7}, 4, "does not describe"),
    ],
)
def test_a_header_that_cannot_be_true_is_refused(
    put: Callable[[bytes], Path], header: object, size: int, words: str
) -> None:
    with pytest.raises(CheckpointDamaged, match=words):
        read_metadata(put(pack(header) + b"\0" * size))


def test_deep_nesting_and_a_missing_file_are_errors_like_any_other(tmp_path: Path) -> None:
    deep = b"[" * 100_000
    path = tmp_path / "deep.safetensors"
    path.write_bytes(struct.pack("<Q", len(deep)) + deep)
    with pytest.raises(CheckpointDamaged, match="not readable"):
        read_metadata(path)
    with pytest.raises(CheckpointDamaged, match=r"none\.safetensors: cannot be read: No such file"):
        read_metadata(tmp_path / "none.safetensors")


def test_a_header_too_long_to_be_one_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_001))
        file.truncate(200_000_000)
    with pytest.raises(CheckpointDamaged, match="does not begin with the length of a header"):
        read_metadata(path)


SAID = {
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_network_dim": "32",
    "ss_network_alpha": "16.0",
    "ss_num_epochs": "10",
    "ss_epoch": "3",
    "ss_steps": "360",
    "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
}
PLAN = lora(dim=32, alpha=16, epochs=10, epoch=3, steps=360)


def test_a_lora_as_planned_has_nothing_wrong() -> None:
    assert check(SAID, PLAN) == []
    assert check({**SAID, "ss_steps": "120"}, lora(dim=32, alpha=16, epochs=10, epoch=3)) == []


@pytest.mark.parametrize("key", sorted(PLAN))
@pytest.mark.parametrize("value", [None, "None", "", "nan", "31"])
def test_each_value_that_is_not_as_planned_is_said_by_its_name(key: str, value: str | None) -> None:
    said = {name: text for name, text in SAID.items() if name != key}
    wrong = check(said if value is None else {**said, key: value}, PLAN)
    found = "missing" if value is None else value
    assert wrong == [f"{key} is {found}, expected {PLAN[key]}"]


def test_a_lora_is_no_full_model() -> None:
    assert check(SAID, FULL) == [
        "modelspec.architecture is stable-diffusion-xl-v1-base/lora, expected stable-diffusion-xl-v1-base"
    ]
