"""The Pulumi dynamic providers of this room. Their module path is part of every stack's state."""

from __future__ import annotations

import secrets
from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

_SETTINGS = (
    "preparations",
    "links",
    "settings",
    "secrets",
    "catalogue",
    "tokens",
    "comfyui",
    "code",
    "expose",
)
"""What a change of makes the machine serve anew; the price is not among them, since the market has no say."""


class TokensProvider(ResourceProvider):
    """One token for each name; who is added gets one, who is removed loses theirs."""

    serialize_as_secret_always = False  # only a class name is serialized

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare the names."""
        return DiffResult(changes=olds["names"] != news["names"])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the tokens."""
        return CreateResult(secrets.token_hex(8), _with_tokens(props, {}))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Keep the tokens of those who stay."""
        return UpdateResult(_with_tokens(news, olds["tokens"]))


def _with_tokens(props: dict[str, Any], old: dict[str, str]) -> dict[str, Any]:
    return {
        **props,
        "tokens": {name: old.get(name) or secrets.token_urlsafe(32) for name in props["names"]},
    }


class ServiceProvider(ResourceProvider):
    """ComfyUI and the gateway on one machine, which have made an image."""

    serialize_as_secret_always = False  # only a class name is serialized

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Start over on another machine; change in place whatever else is different, or does not run."""
        replaces = ["machine"] if olds["machine"] != news["machine"] else []
        moved = [name for name in ("login", "address", "port", *_SETTINGS) if olds[name] != news[name]]
        return DiffResult(
            changes=bool(replaces or moved) or not olds["serving"],
            replaces=replaces,
            delete_before_replace=True,
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait for the preparations, start both, and wait until an image was made."""
        from components.comfyui.serving import begin  # noqa: PLC0415 - a preview needs no SSH

        return CreateResult(f"{int(props['machine'])}/gateway", begin(props))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look whether both run."""
        from components.comfyui.serving import look  # noqa: PLC0415 - a preview needs no SSH

        return ReadResult(id_, {**props, "serving": look(props)})

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Change and restart what differs."""
        from components.comfyui.serving import begin  # noqa: PLC0415 - a preview needs no SSH

        return UpdateResult(begin(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Stop both where the machine can be reached; where not, nothing is left to stop."""
        from components.comfyui.serving import end  # noqa: PLC0415 - a preview needs no SSH

        end(props)


_FRONT = ("login", "address", "port", "bind", "config", "certificates", "certificate")


class FrontProvider(ResourceProvider):
    """The balancer on one machine, which serves."""

    serialize_as_secret_always = False  # only a class name is serialized

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Start over on another machine; change in place whatever else is different, or does not run."""
        replaces = ["machine"] if olds["machine"] != news["machine"] else []
        moved = any(olds[name] != news[name] for name in _FRONT)
        return DiffResult(
            changes=bool(replaces) or moved or not olds["serving"],
            replaces=replaces,
            delete_before_replace=True,
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Install it, start it, and wait until it serves."""
        from components.comfyui.fronting import begin  # noqa: PLC0415 - a preview needs no SSH

        return CreateResult(f"{int(props['machine'])}/front", begin(props))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look whether it runs."""
        from components.comfyui.fronting import look  # noqa: PLC0415 - a preview needs no SSH

        return ReadResult(id_, {**props, "serving": look(props)})

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Let it read what differs; nothing that is under way is dropped."""
        from components.comfyui.fronting import begin  # noqa: PLC0415 - a preview needs no SSH

        return UpdateResult(begin(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Stop it where the machine can be reached; where not, nothing is left to stop."""
        from components.comfyui.fronting import end  # noqa: PLC0415 - a preview needs no SSH

        end(props)
