"""The JSON schema of job files, for editors: `python -m components.spec.schema` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from components.spec.load import JOB

PATH: Final = Path("configs/job.schema.json")
"""Where it lies, relative to the project; each job file names it in its first line."""


class _Schema(GenerateJsonSchema):
    """Without titles, which only repeat each key."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def schema() -> str:
    """Return the schema as text, with defaults as they are written in a job file."""
    found = JOB.json_schema(mode="serialization", schema_generator=_Schema)
    dialect = {"$schema": _Schema.schema_dialect, "title": "A job file of fragua"}
    text = json.dumps({**dialect, **found}, indent=2)
    # pydantic leaves a bound that follows a validator under its own name
    return text.replace('"ge": ', '"minimum": ') + "\n"


if __name__ == "__main__":
    PATH.write_text(schema(), encoding="utf-8")
