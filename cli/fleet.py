"""The account's list and the stacks' states side by side, and what the machines say of their leases."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.errors import RemoteError
from components.vast.charges import clock
from components.vast.orphans import GRACE, judge, undecided
from components.vast.renewal import look
from components.vast.status import Status, status

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cli.stacks import Survey
    from components.remote.shell import Login
    from components.vast.client import Api
    from components.vast.lease import LeaseStatus
    from components.vast.orphans import Finding, State
    from components.vast.wire import Instance

_AT_ONCE: Final = 16


@dataclass(frozen=True)
class Fleet:
    """What there is at one moment.

    Attributes:
        survey: of the stacks.
        states: what they say of machines on this account.
        instances: of the account, other people's too.
        leases: of the running machines that could be asked; None where a machine has no lease.
        now: the present, in epoch seconds.
    """

    survey: Survey
    states: list[State]
    instances: list[Instance]
    leases: Mapping[int, LeaseStatus | None]
    now: float

    def judged(self, grace: float = GRACE, named: Collection[int] = ()) -> list[Finding]:
        """Return what bills for nothing; only what is `named`, if anything is."""
        found = judge(
            self.instances,
            self.states,
            self.now,
            grace=grace,
            complete=not self.survey.unreadable,
            named=named,
            leases={instance: lease for instance, lease in self.leases.items() if lease},
        )
        return [each for each in found if each.instance.id in named] if named else found

    @property
    def undecided(self) -> list[int]:
        """The instances with fragua's label that may belong to a stack which could not be read."""
        return undecided(self.instances, self.states) if self.survey.unreadable else []


def fleet(survey: Survey, api: Api) -> Fleet:
    """Ask the account, in one call for each 25 instances, and all running machines at once."""
    instances = api.instances()
    logins = {instance: login for stack in survey.stacks for instance, login in stack.logins.items()}
    running = {
        each.id: logins[each.id] for each in instances if each.id in logins and status(each) is Status.RUNNING
    }
    return Fleet(survey, survey.states(api.url), instances, _leases(running), clock(instances, time.time()))


def _leases(logins: Mapping[int, Login]) -> dict[int, LeaseStatus | None]:
    found: dict[int, LeaseStatus | None] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = {instance: pool.submit(look, login) for instance, login in logins.items()}
    for instance, answer in asked.items():
        try:
            found[instance] = answer.result()
        except RemoteError:
            continue
    return found
