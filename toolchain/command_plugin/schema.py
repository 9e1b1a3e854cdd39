"""The plugin's resources and its function as data: fields, types, defaults, what replaces.

Checking, diffing and the published schema all read these tables; none of them names a resource
itself. The tables follow the schema that pulumi-command 1.2.1 publishes.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Final

VERSION: Final = "1.2.1"

Fields = dict[str, "Field"]


@dataclass(frozen=True)
class Scalar:
    """A string, boolean, integer or number, by its JSON schema name."""

    name: str


@dataclass(frozen=True)
class Anything:
    """A value that is kept as it is."""


@dataclass(frozen=True)
class AssetOrArchive:
    """A file, a text, or a folder, with the hash that the engine took of it."""


@dataclass(frozen=True)
class ArrayOf:
    """A list of one type."""

    item: "Type"


@dataclass(frozen=True)
class MapOf:
    """A dict from strings to one type."""

    item: "Type"


@dataclass(frozen=True)
class ObjectType:
    """A dict with named fields."""

    token: str
    fields: Fields


Type = Scalar | Anything | AssetOrArchive | ArrayOf | MapOf | ObjectType


@dataclass(frozen=True)
class Field:
    """One property: its type, and what the plugin does with it before a resource sees it."""

    type: Type
    required: bool = False
    secret: bool = False
    default: str | int | None = None
    replaces: bool = False


@dataclass(frozen=True)
class ResourceSchema:
    """One resource type.

    `computed` are the outputs that running it yields, beside its own inputs. A resource that is
    not `updatable` is replaced by any change.
    """

    token: str
    inputs: Fields
    computed: tuple[str, ...] = ()
    updatable: bool = True


STRING: Final = Scalar("string")
BOOLEAN: Final = Scalar("boolean")
INTEGER: Final = Scalar("integer")
NUMBER: Final = Scalar("number")

_ENDPOINT: Final[Fields] = {
    "agentSocketPath": Field(STRING),
    "dialErrorLimit": Field(INTEGER, default=10),
    "host": Field(STRING, required=True),
    "hostKey": Field(STRING),
    "password": Field(STRING, secret=True),
    "perDialTimeout": Field(INTEGER, default=15),
    "port": Field(NUMBER, default=22),
    "privateKey": Field(STRING, secret=True),
    "privateKeyPassword": Field(STRING, secret=True),
    "user": Field(STRING, default="root"),
}
_PROXY: Final = ObjectType("command:remote:ProxyConnection", _ENDPOINT)
CONNECTION: Final = ObjectType("command:remote:Connection", {**_ENDPOINT, "proxy": Field(_PROXY)})

_TRIGGERS: Final = Field(ArrayOf(Anything()), replaces=True)
_REMOTE: Final[Fields] = {
    "connection": Field(CONNECTION, required=True, secret=True),
    "triggers": _TRIGGERS,
}
# `logging` is an enumeration in the published schema, but the official plugin takes any string.
_RUNNING: Final[Fields] = {
    "addPreviousOutputInEnv": Field(BOOLEAN),
    "environment": Field(MapOf(STRING)),
    "logging": Field(STRING),
    "stdin": Field(STRING),
}
_LIFE_CYCLE: Final[Fields] = {
    "create": Field(STRING),
    "update": Field(STRING),
    "delete": Field(STRING),
    "triggers": _TRIGGERS,
}
_LOCAL: Final[Fields] = {
    **_RUNNING,
    "archivePaths": Field(ArrayOf(STRING)),
    "assetPaths": Field(ArrayOf(STRING)),
    "dir": Field(STRING),
    "interpreter": Field(ArrayOf(STRING)),
}
_STREAMS: Final = ("stdout", "stderr")

LOCAL_COMMAND: Final = ResourceSchema("command:local:Command", {**_LOCAL, **_LIFE_CYCLE}, computed=_STREAMS)
REMOTE_COMMAND: Final = ResourceSchema(
    "command:remote:Command", {**_RUNNING, **_LIFE_CYCLE, **_REMOTE}, computed=_STREAMS
)
COPY_TO_REMOTE: Final = ResourceSchema(
    "command:remote:CopyToRemote",
    {
        **_REMOTE,
        "source": Field(AssetOrArchive(), required=True),
        "remotePath": Field(STRING, required=True),
    },
)
COPY_FILE: Final = ResourceSchema(
    "command:remote:CopyFile",
    {
        **_REMOTE,
        "localPath": Field(STRING, required=True),
        "remotePath": Field(STRING, required=True),
        "triggers": replace(_TRIGGERS, replaces=False),
    },
    updatable=False,
)
LOCAL_RUN: Final = ResourceSchema(
    "command:local:run",
    {**_LOCAL, "command": Field(STRING, required=True)},
    computed=_STREAMS,
)


def published_schema() -> str:
    """The JSON that `GetSchema` answers: every type and field, without the prose."""
    resources = (LOCAL_COMMAND, REMOTE_COMMAND, COPY_TO_REMOTE, COPY_FILE)
    return json.dumps(
        {
            "name": "command",
            "version": VERSION,
            "types": {
                kind.token: {
                    "type": "object",
                    "properties": _properties(kind.fields),
                    "required": _required(kind.fields),
                }
                for kind in (CONNECTION, _PROXY)
            },
            "provider": {},
            "resources": {kind.token: _resource(kind) for kind in resources},
            "functions": {
                LOCAL_RUN.token: {
                    "inputs": {
                        "type": "object",
                        "properties": _properties(LOCAL_RUN.inputs),
                        "required": _required(LOCAL_RUN.inputs),
                    },
                    "outputs": {
                        "type": "object",
                        "properties": _properties(_outputs(LOCAL_RUN)),
                        "required": _required(_outputs(LOCAL_RUN)),
                    },
                }
            },
        }
    )


def _resource(kind: ResourceSchema) -> dict[str, Any]:
    outputs = _outputs(kind)
    return {
        "properties": _properties(outputs),
        "required": _required(outputs),
        "inputProperties": _properties(kind.inputs),
        "requiredInputs": _required(kind.inputs),
    }


def _outputs(kind: ResourceSchema) -> Fields:
    return {**kind.inputs, **{name: Field(STRING, required=True) for name in kind.computed}}


def _required(fields: Fields) -> list[str]:
    return sorted(name for name, field in fields.items() if field.required)


def _properties(fields: Fields) -> dict[str, Any]:
    return {name: _property(field) for name, field in sorted(fields.items())}


def _property(field: Field) -> dict[str, Any]:
    spec = _type_spec(field.type)
    if field.secret:
        spec["secret"] = True
    if field.replaces:
        spec["replaceOnChanges"] = True
    if field.default is not None:
        spec["default"] = field.default
    return spec


def _type_spec(kind: Type) -> dict[str, Any]:
    match kind:
        case Scalar(name):
            return {"type": name}
        case Anything():
            return {"$ref": "pulumi.json#/Any"}
        case AssetOrArchive():
            return {"$ref": "pulumi.json#/Asset"}
        case ArrayOf(item):
            return {"type": "array", "items": _type_spec(item)}
        case MapOf(item):
            return {"type": "object", "additionalProperties": _type_spec(item)}
        case ObjectType(token, _):
            return {"$ref": f"#/types/{token}"}
