"""Property values: how Pulumi writes secrets, unknowns and assets into a protobuf Struct.

Decoded bags are plain dicts and lists with two additions, `Secret` and `UNKNOWN`. Assets,
archives and resource references stay the signed dicts that they are on the wire. Nothing here
knows which resource a bag belongs to.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from toolchain.command_plugin.protocol import Struct, Value

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a public marker of the protocol
ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_MARKERS: Final = frozenset(
    {
        UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)

Properties = dict[str, Any]


class Unknown(Enum):
    """A value that will exist only after the deployment has run (previews)."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True)
class Secret:
    """A value that must be encrypted in the state and hidden on the terminal."""

    value: Any


def secret(value: Any) -> Secret:
    """Marks a value secret, once."""
    return value if isinstance(value, Secret) else Secret(value)


def is_signed(value: Any, signature: str | None = None) -> bool:
    """Whether a value is an asset, archive or resource reference, or the one that is named."""
    if not isinstance(value, dict) or SIGNATURE not in value:
        return False
    return signature is None or value[SIGNATURE] == signature


def plain(value: Any) -> Any:
    """The value with every secret mark taken off, at any depth."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def decode(bag: Struct) -> Properties:
    """Reads a bag from the wire; properties that are null are left out."""
    return {
        key: _decode(value)
        for key, value in bag.fields.items()
        if value.WhichOneof("kind") not in (None, "null_value")
    }


def _decode(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        items = decode(value.struct_value)
        if items.get(SIGNATURE) == SECRET:
            return secret(items.get("value"))
        return items
    if kind == "list_value":
        return [_decode(item) for item in value.list_value.values]
    if kind in (None, "null_value"):
        return None
    scalar = getattr(value, kind)
    return UNKNOWN if scalar in _UNKNOWN_MARKERS else scalar


def encode(properties: Properties) -> Struct:
    """Writes a bag for the wire."""
    bag = Struct()
    bag.update(_wire_form(properties))
    return bag


def _wire_form(value: Any) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_STRING
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET, "value": _wire_form(value.value)}
    if isinstance(value, dict):
        return {key: _wire_form(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_wire_form(item) for item in value]
    return value
