"""The schema that editors read is that of the models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.spec.schema import PATH, schema

ROOT = Path(__file__).parents[2]
DEFINITIONS = json.loads(schema())["$defs"]


def test_the_schema_that_is_kept_is_current() -> None:
    """Write it anew with `python -m components.spec.schema`."""
    assert (ROOT / PATH).read_text() == schema()


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_job_file_names_the_schema_for_editors(path: Path) -> None:
    assert path.read_text().splitlines()[0] == f"# yaml-language-server: $schema={PATH.name}"


def test_an_editor_shows_what_the_docstring_of_a_field_says() -> None:
    assert DEFINITIONS["Node"]["properties"]["disk"]["description"] == (
        "GB of container disk; cannot be changed after renting."
    )


def test_defaults_are_as_one_writes_them() -> None:
    assert DEFINITIONS["Limits"]["properties"]["boot"]["default"] == "1200s"


def test_bounds_are_in_the_words_of_json_schema() -> None:
    assert DEFINITIONS["Node"]["properties"]["disk"]["minimum"] == 8
    assert '"ge"' not in schema()
    assert '"gt"' not in schema()


def test_unknown_keys_are_marked_everywhere() -> None:
    assert all(part["additionalProperties"] is False for part in DEFINITIONS.values())


def test_every_field_is_explained() -> None:
    """By words of its own, or by those of the part that it holds; `kind` explains itself."""
    fields = [
        (f"{part}.{name}", field)
        for part, definition in DEFINITIONS.items()
        for name, field in definition["properties"].items()
        if name != "kind"
    ]
    assert [
        name for name, field in fields if not ("description" in field or "$ref" in json.dumps(field))
    ] == []


def test_a_node_may_leave_out_what_a_preset_fills_in() -> None:
    by_preset, alone = DEFINITIONS["Node"]["anyOf"]

    assert by_preset == {"required": ["preset"]}
    assert alone["required"] == ["gpu", "image", "disk", "max_price"]
    assert not DEFINITIONS["Node"].keys() & {"required"}
