"""A machine's lease over SSH: renewed, looked at, and told that its training is at home. Knows no Pulumi."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.remote.shell import connect
from components.vast.lease import fetched_script, parse_status, renew_script, status_script

if TYPE_CHECKING:
    from components.remote.shell import Login
    from components.vast.lease import LeaseStatus


def renew(
    login: Login, limits: str = "", *, rate: float | None = None, used: bool = False, patience: float = 0
) -> LeaseStatus | None:
    """Renew a machine's lease; return how it stands, None where the machine has none.

    Args:
        login: the machine.
        limits: in place of those before, as `Lease.limits` returns them; empty to keep them.
        rate: $/h of the machine from now, GPUs and disk; None to keep it.
        used: whether a person says that the machine is in use, so that it was not idle either.
        patience: seconds to go on trying to reach it.

    Raises:
        RemoteError: it was not reached.
    """
    with connect(login, patience) as shell:
        shell.run("renewing the lease", renew_script(limits, rate=rate, used=used))
        return parse_status(shell.run("reading the lease", status_script()))


def look(login: Login, patience: float = 0) -> LeaseStatus | None:
    """Return how a machine's lease stands; None where it has none.

    Raises:
        RemoteError: it was not reached.
    """
    with connect(login, patience) as shell:
        return parse_status(shell.run("reading the lease", status_script()))


def fetched(login: Login, run: str, *, ends: bool = True) -> None:
    """Note on a machine that all checkpoints of the training `run` are at home.

    Args:
        login: the machine.
        run: the training's.
        ends: whether nothing else is to come: then it destroys itself once it was idle for 15 minutes.

    Raises:
        RemoteError: it was not reached.
    """
    with connect(login) as shell:
        shell.run("telling the lease that the training is at home", fetched_script(run, ends=ends))
