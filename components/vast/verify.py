"""Whether a running machine lets us in and is what was advertised. Knows no Pulumi."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from components.errors import AccessDenied, ProvisioningError, Unreachable
from components.remote.shell import Login, connect
from components.vast.hardware import PROBE, mismatch

if TYPE_CHECKING:
    from components.vast.request import RentRequest
    from components.vast.wire import Instance

_POLL: Final = 2.0


def verified_login(request: RentRequest, instance: Instance, pinned: str) -> Login:
    """Wait until SSH accepts the stack's key, pin the host key, and check the hardware.

    The direct address is tried before the proxy, which is slower.

    Args:
        request: what was asked for.
        instance: what was rented.
        pinned: the host key of an earlier contact, to be demanded; empty to learn it.

    Raises:
        HostKeyChanged: the machine shows another key than `pinned`.
        Unreachable, AccessDenied: SSH did not let us in within node.limits.ssh.
        ProvisioningError: the machine is not what was advertised.
    """
    deadline = time.monotonic() + request.node.limits.ssh
    while True:
        for address in filter(None, (instance.direct, instance.proxy)):
            login = Login(*address, request.private_key.get_secret_value(), pinned)
            try:
                with connect(login) as shell:
                    output = shell.run("the check of GPU and disk", PROBE)
                    known = Login(login.host, login.port, login.private_key, shell.host_key)
            except (Unreachable, AccessDenied):
                if time.monotonic() > deadline:
                    raise
            else:
                if wrong := mismatch(instance, output, request.node.disk):
                    raise ProvisioningError(wrong)
                return known
        time.sleep(_POLL)
