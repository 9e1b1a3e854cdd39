"""The Pulumi dynamic provider of a training run. Its module path is part of every stack's state."""

from __future__ import annotations

from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult


class TrainingRunProvider(ResourceProvider):
    """A training that was started and has reached its first step; it goes on detached."""

    serialize_as_secret_always = False  # only a class name is serialized

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Train again for another run or machine: the run's name holds a digest of all that determines it."""
        replaces = [name for name in ("machine", "run") if olds[name] != news[name]]
        moved = olds["login"] != news["login"] or _bucket(olds) != _bucket(news)
        return DiffResult(changes=bool(replaces) or moved, replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait for the preparations, start the run or go on with it, and wait for its first step."""
        from components.kohya.running import begin  # noqa: PLC0415 - a preview needs no SSH

        return CreateResult(props["run"], {**props, "steps": begin(props)})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Take over a new address or bucket; the training itself is the same."""
        if _bucket(olds) != _bucket(news):
            from components.kohya.running import change_bucket  # noqa: PLC0415 - a preview needs no SSH

            change_bucket(news)
        return UpdateResult({**news, "steps": olds["steps"]})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Stop the training where the machine can be reached; where not, nothing is left to stop."""
        from components.kohya.running import end  # noqa: PLC0415 - a preview needs no SSH

        end(props)


def _bucket(props: dict[str, Any]) -> str:
    """Return the bucket; states of before there were any have none."""
    return str(props.get("bucket") or "")
