"""What a container finds in its environment, and which part of it an SSH session sees."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulator.machine.spec import MachineSpec

PORT_FLAG = re.compile(r"-p\s+(?:[\d.]+:)?(\d+):(\d+)(?:/(tcp|udp))?")


class Published(NamedTuple):
    """A `-p` flag: the container's port, and the protocol (`tcp` or `udp`).

    A port above 65535 asks for one number inside and outside, which Vast.ai chooses.
    """

    port: int
    protocol: str


def published(spec: MachineSpec) -> list[Published]:
    """Return the ports that the create call's `env` object opens, in its order."""
    flags = (PORT_FLAG.fullmatch(key.strip()) for key in spec.env)
    return [Published(int(flag[2]), flag[3] or "tcp") for flag in flags if flag]


def container_environment(
    spec: MachineSpec, ports: dict[str, int], keys: Iterable[str], address: str
) -> dict[str, str]:
    """Return the variables of the container: the user's, and the platform's over them.

    Args:
        spec: the rented machine.
        ports: asked port and protocol (`70000/tcp`) to public port.
        keys: public keys that may log in.
        address: public address of the host.
    """
    user = {key: value for key, value in spec.env.items() if not key.startswith("-")}
    numbers = {
        f"VAST_{protocol.upper()}_PORT_{port}": str(number)
        for (port, _, protocol), number in ((name.partition("/"), number) for name, number in ports.items())
    }
    platform = {
        "CONTAINER_ID": str(spec.contract_id),
        "CONTAINER_API_KEY": spec.container_api_key,
        "VAST_CONTAINERLABEL": f"C.{spec.contract_id}",
        "PUBLIC_IPADDR": address,
        "GPU_COUNT": str(spec.gpu_count),
        "SSH_PUBLIC_KEY": "\n".join(keys),
        "DATA_DIRECTORY": "/workspace/",
    }
    return user | platform | numbers


def format_environment(variables: dict[str, str]) -> str:
    """Write variables as `/etc/environment` holds them; those of several lines can't be."""
    return "".join(f'{key}="{value}"\n' for key, value in variables.items() if "\n" not in value)


def parse_environment(text: str) -> dict[str, str]:
    """Read `/etc/environment` as pam_env does: `KEY=value`, with or without quotes or `export`."""
    variables = {}
    for line in text.splitlines():
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or key.startswith("#"):
            continue
        if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
            value = value[1:-1]
        variables[key.strip()] = value
    return variables
