"""Renting, waiting, verifying and destroying, for one machine or fifty. Knows no Pulumi.

Crash-safe by label: whatever was killed and whenever, a machine that bills carries the label of its
resource, so the next `acquire` adopts or destroys it and `release` destroys it. Within one `acquire`, a
machine that never runs, whose SSH never answers or that shows other hardware than advertised is destroyed,
remembered as bad, and the next best offer is taken.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.errors import (
    FraguaError,
    OfferGone,
    OutOfCredit,
    ProvisioningError,
    RateLimited,
    RemoteError,
    ReplyLost,
)
from components.vast import balance, earlier, offers
from components.vast.release import owned, release
from components.vast.status import Status, status
from components.vast.unmet import nothing_fits
from components.vast.verify import verified_login

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.remote.shell import Login
    from components.vast.client import Api
    from components.vast.machines import BadMachines
    from components.vast.offers import Choice
    from components.vast.request import RentRequest
    from components.vast.wire import Instance

_POLL: Final = 2.0
_PORTS_LAG: Final = 30.0
"""Seconds that a running instance may take to tell its ports before SSH goes through the proxy."""


@dataclass(frozen=True)
class Machine:
    """A verified machine: what the API says of it, and how to reach it."""

    instance: Instance
    login: Login


@dataclass
class _Attempt:
    """One rented instance on its way to being verified."""

    instance: Instance
    deadline: float
    running_since: float | None = None
    check: Future[Login] | None = None
    halted: bool = False


class Acquisition:
    """One `acquire`: `request.count` machines, from leftovers or the market."""

    def __init__(
        self,
        api: Api,
        request: RentRequest,
        bad_machines: BadMachines,
        say: Callable[[str], None],
        pinned: Mapping[int, str] | None = None,
    ) -> None:
        """Prepare; nothing is asked or rented yet.

        Args:
            api: the account.
            request: what is wanted.
            bad_machines: read before choosing, added to after failures.
            say: tells a person what happens, as it happens.
            pinned: host keys of machines that were verified before, by instance id.
        """
        self.api, self.request, self.bad_machines, self.say = api, request, bad_machines, say
        self.pinned, self.purchase = pinned or {}, request.allowed
        self.ready: dict[int, Machine] = {}
        self.waiting: dict[int, _Attempt] = {}
        self.failed: set[int] = set()
        self.failures: list[str] = []
        self.tried_offers: set[int] = set()
        self.sent_create = False
        self.checks = ThreadPoolExecutor(max_workers=16)

    def run(self) -> list[Machine]:
        """Return the machines, in the order of their ids.

        Raises:
            NoOffer, BalanceTooLow: before anything was rented.
            ProvisioningError: everything that was rented is destroyed, or named where it could not be.
        """
        request = self.request
        try:
            self._take_leftovers()
            while len(self.ready) < request.count:
                missing = request.count - len(self.ready) - len(self.waiting)
                if missing > 0:
                    self._rent(missing)
                self._pause()
                self._look()
        except BaseException as error:
            left = self._give_back()
            if left and isinstance(error, FraguaError):
                kind = type(error) if isinstance(error, ProvisioningError) else ProvisioningError
                raise kind(f"{error}\n{left}") from error
            raise
        finally:
            self.checks.shutdown(wait=False, cancel_futures=True)
        return [self.ready[instance_id] for instance_id in sorted(self.ready)]

    def _take_leftovers(self) -> None:
        """Adopt what an interrupted run rented; destroy what is ours and cannot serve."""
        request = self.request
        if request.node.adopt is not None:
            self._take_named(request.node.adopt)
            return
        for instance in owned(self.api, request.owner):
            lives = status(instance) in (Status.RUNNING, Status.PROVISIONING)
            fits = (instance.label or "").endswith(request.tag)
            if lives and fits and len(self.waiting) < request.count:
                self.say(f"taking up instance {instance.id}: {instance.label}")
                if instance.label != request.label:
                    self.api.set_label(instance.id, request.label)
                self._await(instance)
            else:
                self.say(f"destroying leftover instance {instance.id}: {status(instance)}, {instance.label}")
                release(self.api, [instance.id])

    def _take_named(self, instance_id: int) -> None:
        instance = self.api.instance(instance_id)
        if instance is None:
            raise ProvisioningError(f"node.adopt: this account has no instance {instance_id}")
        if self.request.count != 1:
            raise ProvisioningError("node.adopt names one instance, but several are asked for")
        self.say(f"adopting instance {instance_id}: {status(instance)}, {instance.label or 'no label'}")
        if status(instance) is Status.STOPPED:
            self.api.start(instance_id)
        self._await(instance)

    def _rent(self, missing: int) -> None:
        request = self.request
        if len(self.failures) >= request.node.limits.attempts * request.count:
            raise ProvisioningError(
                f"{len(self.failures)} machines failed: {'; '.join(self.failures)}. Raise "
                "node.limits.boot or node.limits.attempts, or ask for more reliable hosts (node.reliability)."
            )
        choices = self._choose()
        if missing == 1:
            for choice in choices:
                if self._rent_one(choice):
                    break
        else:
            self.sent_create = True
            batch = [choice.offer.id for choice in choices[:missing]]
            dearest = max((choice.estimate for choice in choices[:missing]), key=lambda each: each.rate)
            watchdog = request.watchdog(dearest, self.api.url, self.purchase.before)
            self.say(f"renting {len(batch)} of {request.count} machines in one call")
            self.tried_offers.update(batch)
            try:
                self.api.create_many(batch, request.body(choices[0].bid, watchdog))
            except (OfferGone, ReplyLost) as error:
                self.say(str(error))
        self._find_new(missing)

    def _choose(self) -> list[Choice]:
        request, node = self.request, self.request.market
        if not self.sent_create:
            running = self.ready.keys() | self.waiting.keys()
            self.purchase = earlier.counted(self.api, request.owner, running, self.purchase, self.say)
        found = self.api.search(offers.query(node))
        ranking = offers.rank(found, node, self.purchase, self.bad_machines.ids())
        best: dict[int, Choice] = {}
        for choice in ranking.choices:
            best.setdefault(choice.offer.id, choice)
        fresh = [choice for offer_id, choice in best.items() if offer_id not in self.tried_offers]
        if not fresh:
            raise nothing_fits(ranking, self.failures)
        self.say(f"{len(found)} offers, {ranking.explain()}")
        if not self.sent_create:
            missing = request.count - len(self.ready) - len(self.waiting)
            balance.check(self.api, fresh[0], self.purchase, missing, self.say)
        return fresh

    def _rent_one(self, choice: Choice) -> bool:
        """Rent what was chosen; return whether to stop, because it was or may have been rented."""
        self.sent_create = True
        offer = choice.offer
        self.tried_offers.add(offer.id)
        self.say(f"renting offer {offer.id}: {offers.describe(choice)}")
        try:
            watchdog = self.request.watchdog(choice.estimate, self.api.url, self.purchase.before)
            self.api.create(offer.id, self.request.body(choice.bid, watchdog))
        except OfferGone:
            self.say(f"offer {offer.id} was taken in the meantime; next")
            return False
        except ReplyLost as error:
            self.say(f"{error}; looking for its label before anything else is rented")
        return True

    def _find_new(self, expected: int) -> None:
        """Take up what the last create made, looking again: a call whose reply was lost may act late."""
        for _ in range(4):
            seen = len(self.waiting)
            for found in owned(self.api, self.request.owner):
                self._take_up(found)
            if len(self.waiting) >= expected or seen == len(self.waiting) > 0:
                return
            time.sleep(_POLL)

    def _take_up(self, instance: Instance) -> None:
        """Wait for an instance of ours that is not known yet, or destroy it where it is one too many."""
        if instance.id in self.ready.keys() | self.waiting.keys() | self.failed:
            return
        if len(self.ready) + len(self.waiting) < self.request.count:
            self._await(instance)
        else:
            self.say(f"instance {instance.id} is one too many; destroying it")
            release(self.api, [instance.id])

    def _await(self, instance: Instance) -> None:
        deadline = time.monotonic() + self.request.node.limits.boot
        self.waiting[instance.id] = _Attempt(instance, deadline)
        self.say(f"instance {instance.id} is billed from now; waiting for it to run")

    def _pause(self) -> None:
        """Wait for the first check, but no longer than until it is time to look; judge what was checked."""
        checks = [attempt.check for attempt in self.waiting.values() if attempt.check]
        if checks:
            wait(checks, _POLL, FIRST_COMPLETED)
        elif self.waiting:
            time.sleep(_POLL)
        for attempt in list(self.waiting.values()):
            if attempt.check:
                self._judge(attempt, attempt.check)

    def _look(self) -> None:
        """Read all our instances once, and move on each attempt that is not checked."""
        if not self.waiting:
            return
        adopting = self.request.node.adopt is not None
        try:
            listed = self.api.instances(**({} if adopting else {"label": self.request.label}))
        except (ReplyLost, RateLimited) as error:
            if all(time.monotonic() > attempt.deadline for attempt in self.waiting.values()):
                raise
            self.say(f"{error}; asking again")
            return
        current = {instance.id: instance for instance in listed}
        for instance_id, attempt in list(self.waiting.items()):
            if instance_id not in current:
                self._fail(attempt, "disappeared", machine_is_bad=False)
                continue
            attempt.instance = current[instance_id]
            if not attempt.check:
                self._watch(attempt)
        if not adopting:
            for instance in listed:
                self._take_up(instance)

    def _watch(self, attempt: _Attempt) -> None:
        instance, now = attempt.instance, time.monotonic()
        state = status(instance)
        if state is Status.RUNNING:
            attempt.running_since = attempt.running_since or now
            if instance.direct or now > attempt.running_since + _PORTS_LAG:
                self.say(f"instance {instance.id} runs; checking SSH, GPU and disk")
                attempt.check = self.checks.submit(self._check, instance)
            return
        halted = state in (Status.OUTBID, Status.SCHEDULING, Status.STOPPED)
        if halted and not attempt.halted:
            self._look_at_credit(instance)
        attempt.halted = halted
        if halted and instance.id != self.request.node.adopt:
            self._fail(attempt, f"{state} before it ran", machine_is_bad=False)
        elif state is Status.CRASHED:
            self._fail(attempt, instance.status_msg or "the container could not be started")
        elif now > attempt.deadline:
            minutes = self.request.node.limits.boot / 60
            self._fail(attempt, f"still {instance.actual_status} after {minutes:g} minutes")

    def _look_at_credit(self, instance: Instance) -> None:
        """Raise OutOfCredit where that is why an instance does not run: no other would."""
        credit = balance.balance(self.api, self.say)
        if credit is not None and credit <= 0:
            raise OutOfCredit(
                f"the account's credit is used up ({credit:.2f} $), so Vast.ai stopped "
                f"instance {instance.id} before it ran: add credit on Vast.ai's billing page, then run "
                "`pulumi up` again"
            )

    def _check(self, instance: Instance) -> Login:
        """Attach the key, so that the platform keeps it there, and verify; in a thread of its own."""
        self.api.attach_key(instance.id, self.request.public_key)
        return verified_login(self.request, instance, self.pinned.get(instance.id, ""))

    def _judge(self, attempt: _Attempt, check: Future[Login]) -> None:
        if not check.done():
            return
        instance = attempt.instance
        try:
            login = check.result()
        except (RemoteError, ProvisioningError) as error:
            first, *rest = str(error).splitlines()
            self._fail(attempt, f"{first} … {rest[-1].strip()}" if rest else first)
            return
        del self.waiting[instance.id]
        if instance.label != self.request.label:
            self.api.set_label(instance.id, self.request.label)
        self.ready[instance.id] = Machine(instance, login)
        self.say(
            f"instance {instance.id} is verified: {instance.num_gpus}x {instance.gpu_name} "
            f"at {instance.dph_total:.3f} $/h"
        )

    def _fail(self, attempt: _Attempt, reason: str, *, machine_is_bad: bool = True) -> None:
        instance = attempt.instance
        del self.waiting[instance.id]
        self.failed.add(instance.id)
        if instance.id == self.request.node.adopt:
            raise ProvisioningError(f"instance {instance.id}: {reason}. It was left as it is and bills.")
        self.failures.append(f"instance {instance.id} on machine {instance.machine_id}: {reason}")
        self.say(f"{self.failures[-1]}; destroying it and taking the next best offer")
        if machine_is_bad:
            self.bad_machines.add(instance.machine_id, reason)
        release(self.api, [instance.id])

    def _give_back(self) -> str:
        """Destroy what this acquisition rented and say what became of it; empty if it rented nothing."""
        rented = [found for found in (*self.ready, *self.waiting) if found != self.request.node.adopt]
        if not rented and not self.sent_create:
            return ""
        self.say("giving back what was rented")
        try:
            release(self.api, rented, self.request.owner)
        except FraguaError as problem:
            return (
                f"Instances {rented} may still bill ({problem}). They carry the label "
                f"{self.request.label!r}: the next `pulumi up` or `pulumi destroy` finds them by it."
            )
        return "What was rented was destroyed; nothing of this resource bills."
