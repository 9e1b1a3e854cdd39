"""The least that a dynamic provider can be."""

from __future__ import annotations

from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider


class LeastProvider(ResourceProvider):
    """Makes nothing."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Return at once."""
        return CreateResult("least", props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Never change."""
        return DiffResult(changes=False)


class Least(Resource):
    """A resource that is nothing."""

    def __init__(self) -> None:
        """Declare it."""
        super().__init__(LeastProvider(), "least", {})
