"""The pins of versions.toml as a value. Knows nothing of how a pinned thing is got."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PINS = Path(__file__).with_name("versions.toml")


@dataclass(frozen=True)
class Versions:
    """The versions that belong together.

    Attributes:
        engine: The Pulumi CLI that is fetched or built, "3.259.0".
        engine_minimum: The oldest `pulumi` on PATH that is used as it is.
        archive: URL of the release archive, with `{version}` and `{machine}`.
        sha256: Digest of the release archive by Pulumi's name of the machine, `x64` or `arm64`.
        go_minimum: The oldest Go that builds the engine.
        command: The `command` plugin.
    """

    engine: str
    engine_minimum: str
    archive: str
    sha256: Mapping[str, str]
    go_minimum: str
    command: str


def load(path: Path = PINS) -> Versions:
    """Read the pins.

    Raises:
        KeyError: A pin is missing.
    """
    pins = tomllib.loads(path.read_text())
    return Versions(
        engine=pins["engine"]["version"],
        engine_minimum=pins["engine"]["minimum"],
        archive=pins["engine"]["archive"],
        sha256=pins["engine"]["sha256"],
        go_minimum=pins["go"]["minimum"],
        command=pins["plugins"]["command"],
    )


def order(version: str) -> tuple[int, ...]:
    """A key by which release versions compare: `order("v3.259.0") == (3, 259, 0)`.

    What follows the numbers ("-alpha.1", "+dirty", "rc1") doesn't count.
    """
    numbers = []
    for part in version.strip().removeprefix("v").split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)
