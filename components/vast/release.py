"""Destroying, and proving it by the account's own list. Knows no Pulumi."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from components.errors import ApiError, ProvisioningError, RateLimited, ReplyLost, Unauthorized

if TYPE_CHECKING:
    from components.vast.client import Api
    from components.vast.wire import Instance

_POLL: Final = 2.0
_DESTROY_SECONDS: Final = 120.0


def owned(api: Api, owner: str) -> list[Instance]:
    """Return the instances of the account whose label carries `owner`, whatever else it says."""
    return [instance for instance in api.instances() if owner in (instance.label or "")]


def release(api: Api, instance_ids: list[int], owner: str | None = None) -> None:
    """Destroy instances, and any other of `owner`, until the account's list shows none of them.

    Raises:
        ProvisioningError: some are still listed after two minutes; the message names them.
        Unauthorized: the key is no longer accepted.
    """
    left = set(instance_ids)
    deadline = time.monotonic() + _DESTROY_SECONDS
    while True:
        if left:
            try:
                api.destroy(sorted(left))
            except (Unauthorized, RateLimited):
                raise
            except (ApiError, ReplyLost):
                pass  # the list below says what is left, and the deadline ends the attempts
        listed = api.instances()
        wanted_gone = left | set(instance_ids)
        left = {
            found.id
            for found in listed
            if found.id in wanted_gone or (owner and owner in (found.label or ""))
        }
        if not left:
            return
        if time.monotonic() > deadline:
            raise ProvisioningError(
                f"Vast.ai still lists instances {sorted(left)} after they were destroyed again and again: "
                "they bill. Destroy them in the console, or run `pulumi destroy` again."
            )
        time.sleep(_POLL)
