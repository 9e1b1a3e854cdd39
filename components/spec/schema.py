"""The JSON schema of job files, for editors: `python -m components.spec.schema` writes it anew."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
from collections import ChainMap
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from components.spec.base import Spec
from components.spec.load import Job

PATH: Final = Path("configs/job.schema.json")
"""Where it lies, relative to the project; each job file names it in its first line."""


class _Schema(GenerateJsonSchema):
    """Without titles, which only repeat each key."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def _all(model: type[Spec]) -> list[type[Spec]]:
    return [found for child in model.__subclasses__() for found in (child, *_all(child))]


def _docstrings(model: type[Spec]) -> dict[str, str]:
    """Return the docstring under each field, read from the source, inherited ones too.

    pydantic could keep them in the models, but then every preview would pay for reading them.
    """
    parents = [_docstrings(parent) for parent in model.__bases__ if issubclass(parent, Spec)]
    [tree] = ast.parse(inspect.getsource(model)).body
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    own = {
        field.target.id: inspect.cleandoc(words.value.value)
        for field, words in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(words, ast.Expr)
        and isinstance(words.value, ast.Constant)
        and isinstance(words.value.value, str)
    }
    return dict(ChainMap(own, *parents))


def schema() -> str:
    """Return the schema as text, with defaults as they are written in a job file.

    A node may leave out everything where it names a preset.
    """
    job: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])
    found = job.json_schema(mode="serialization", schema_generator=_Schema)
    for model in _all(Spec):
        properties = found["$defs"].get(model.__name__, {}).get("properties", {})
        for field, words in _docstrings(model).items():
            properties.get(field, {})["description"] = words
    node, gpu = found["$defs"]["Node"], found["$defs"]["Gpu"]
    alone = {"required": node.pop("required"), "properties": {"gpu": {"required": gpu.pop("required")}}}
    node["anyOf"] = [{"required": ["preset"]}, alone]
    dialect = {"$schema": _Schema.schema_dialect, "title": "A job file of fragua"}
    text = json.dumps({**dialect, **found}, indent=2)
    # pydantic leaves a bound that follows a validator under its own name
    return text.replace('"ge": ', '"minimum": ').replace('"le": ', '"maximum": ') + "\n"


if __name__ == "__main__":
    PATH.write_text(schema(), encoding="utf-8")
