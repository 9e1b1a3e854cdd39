"""What runs now over all stacks, what it costs, and how long the balance lasts."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.table import Column, Table

from cli.bill import DAY
from cli.console import Voice
from cli.fleet import fleet
from cli.stacks import account, survey
from cli.tables import show
from components.errors import VastError
from components.vast.charges import rate, spent
from components.vast.orphans import Kind, span
from components.vast.status import Status, status
from components.vast.tag import Tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cli.fleet import Fleet
    from cli.stacks import Stack
    from components.vast.client import Api
    from components.vast.lease import LeaseStatus
    from components.vast.wire import Instance

_HOUR: Final = 3600


@dataclass(frozen=True)
class Row:
    """A machine of fragua's.

    Attributes:
        stack: that has it; the words of its label where none has.
        name: of its resource.
        instance: its id.
        gpu: count and model.
        status: as Vast.ai has it now; `gone` where only the stack still knows it.
        rate: $/h that it bills now.
        since: when it was rented, in epoch seconds.
        spent: $ that it was charged so far; None where there is no charge yet, or none may be read.
        asked: whether it runs and could be asked for its lease.
        lease: what it answered; None where it has none.
    """

    stack: str
    name: str
    instance: int
    gpu: str
    status: str
    rate: float
    since: float | None
    spent: float | None
    asked: bool
    lease: LeaseStatus | None


@dataclass(frozen=True)
class View:
    """All that `status` tells.

    Attributes:
        rows: the machines.
        others: $/h of the account's instances that are not fragua's, and how many they are.
        credit: $ that can be spent; None where the key may not read it.
        now: the present, in epoch seconds.
        warnings: what should be done something about.
    """

    rows: list[Row]
    others: tuple[float, int]
    credit: float | None
    now: float
    warnings: list[str]

    @property
    def burn(self) -> float:
        """$/h of everything on the account."""
        return sum(row.rate for row in self.rows) + self.others[0]

    @property
    def ends(self) -> float | None:
        """When the balance ends if nothing changes, in epoch seconds; None for never, or not known."""
        if self.credit is None or not self.burn:
            return None
        return self.now + max(0.0, self.credit) / self.burn * _HOUR

    @property
    def used_up(self) -> bool:
        """Whether there is no credit, so that Vast.ai lets nothing run."""
        return self.credit is not None and self.credit <= 0


def run(root: Path, *, as_json: bool) -> None:
    """Print what runs now.

    Raises:
        FraguaError: there is no key, or Vast.ai does not answer.
    """
    api = account(root)
    shown = view(fleet(survey(root), api), api)
    if as_json:
        print(json.dumps(_described(shown), indent=1))
    else:
        _show(shown)


def view(seen: Fleet, api: Api) -> View:
    """Return what there is to tell, with the account's balance and charges in one call each."""
    unknown: list[str] = []
    credit, charged = None, dict[int, float]()
    try:
        credit = api.user().credit
    except VastError as error:
        unknown.append(f"the balance is not known: {error}")
    starts = [each.start_date for each in seen.instances if each.start_date]
    try:
        charged = spent(api.charges(min(starts) // DAY * DAY, seen.now + DAY)) if starts else {}
    except VastError as error:
        unknown.append(f"what was spent is not known: {error}")
    rows = list(_rows(seen, charged))
    ours = {row.instance for row in rows}
    others = [rate(each) for each in seen.instances if each.id not in ours]
    found = View(rows, (sum(others), len(others)), credit, seen.now, unknown)
    return replace(found, warnings=[*unknown, *_warnings(seen, found)])


def _rows(seen: Fleet, charged: Mapping[int, float]) -> Iterator[Row]:
    listed = {each.id: each for each in seen.instances}
    for state in seen.states:
        for machine in state.machines:
            instance = listed.pop(machine.instance, None)
            yield _row(seen, charged, state.stack, machine.name, machine.instance, instance)
    for instance in listed.values():
        if tag := Tag.read(instance.label):
            yield _row(seen, charged, f"({tag.words})", tag.name, instance.id, instance)


def _row(
    seen: Fleet, charged: Mapping[int, float], stack: str, name: str, number: int, instance: Instance | None
) -> Row:
    if instance is None:
        return Row(stack, name, number, "", "gone", 0, None, charged.get(number), asked=False, lease=None)
    return Row(
        stack=stack,
        name=name,
        instance=number,
        gpu=f"{instance.num_gpus}x {instance.gpu_name}",
        status=str(status(instance)),
        rate=rate(instance),
        since=instance.start_date,
        spent=charged.get(number),
        asked=number in seen.leases,
        lease=seen.leases.get(number),
    )


def _warnings(seen: Fleet, found: View) -> Iterator[str]:
    for problem in seen.survey.unreadable:
        yield f"not read: {problem}"
    if found.used_up:
        yield (
            "the account's credit is used up: Vast.ai stops every machine and starts none; disks still bill. "
            "Add credit on Vast.ai's billing page, then `pulumi up --refresh` goes on"
        )
    elif found.ends is not None:
        for stack in seen.survey.stacks:
            end = _expected_end(stack, found.rows)
            if end and end > found.ends:
                yield (
                    f"the balance ends {span(end - found.ends)} before stack {stack.name} is expected to: "
                    "Vast.ai then stops everything"
                )
    for row in found.rows:
        if row.status == "gone":
            yield (
                f"stack {row.stack}: instance {row.instance} is not on the account any more: "
                "it ended itself at a limit of its budget, or somebody destroyed it; "
                f"`pulumi up --refresh -s {row.stack}` rents another, `pulumi destroy -s {row.stack}` ends it"
            )
    for finding in seen.judged():
        reaps = "; `./fragua reap --destroy` ends it" if finding.kind is Kind.ORPHAN else ""
        waits = found.used_up and finding.kind is Kind.STOPPED
        why = (
            f"{status(finding.instance)}, and its disk bills, until there is credit" if waits else finding.why
        )
        yield f"instance {finding.instance.id} ({finding.stack}): {why}{reaps}"


def _expected_end(stack: Stack, rows: list[Row]) -> float | None:
    """Return when what `stack` runs should be over, by the hours that its price was shown for."""
    cost = stack.outputs.get("cost")
    hours = cost.get("hours") if isinstance(cost, dict) else None
    starts = [
        row.since for row in rows if row.stack == stack.name and row.since and row.status == Status.RUNNING
    ]
    return max(starts) + hours * _HOUR if hours and starts else None


def _show(found: View) -> None:
    voice = Voice()
    if found.rows:
        right = [Column(name, justify="right") for name in ("$/h", "for", "spent $", "lease left")]
        table = Table("stack", "machine", "instance", "GPU", "status", *right)
        for row in found.rows:
            table.add_row(
                row.stack, row.name, str(row.instance), row.gpu, row.status, f"{row.rate:.3f}",
                span(found.now - row.since) if row.since else "",
                "-" if row.spent is None else f"{row.spent:.2f}",
                _left(row),
            )  # fmt: skip
        show(voice.console, table, ("machine", "for"))
    else:
        voice.line("no machine of fragua's")
    rate_of_others, others = found.others
    strange = f", {rate_of_others:.3f} of it not fragua's (instances: {others})" if others else ""
    voice.line(f"{found.burn:.3f} $/h{strange}")
    if found.credit is not None:
        lasts = ""
        if found.used_up:
            lasts = ", used up"
        elif found.ends is not None:
            lasts = f", which lasts for {span(found.ends - found.now)}, until {_time(found.ends)}"
        voice.line(f"balance {found.credit:.2f} ${lasts}")
    for warning in found.warnings:
        voice.line(f"! {warning}")


def _left(row: Row) -> str:
    if row.status != Status.RUNNING:
        return ""
    if not row.asked:
        return "?"
    return _stands(row.lease) if row.lease else "no lease"


def _stands(lease: LeaseStatus) -> str:
    if lease.ended:
        return f"ending: {lease.ended.partition(':')[0]}"
    if not lease.alive:
        return "watchdog dead: renew it"
    return "no limit" if lease.left is None else f"{span(lease.left)} ({lease.by})"


def _time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def _described(found: View) -> dict[str, Any]:
    def iso(moment: float | None) -> str | None:
        return datetime.fromtimestamp(moment, UTC).isoformat() if moment is not None else None

    return {
        "machines": [
            {
                "stack": row.stack,
                "machine": row.name,
                "instance": row.instance,
                "gpu": row.gpu,
                "status": row.status,
                "pricePerHour": round(row.rate, 6),
                "rented": iso(row.since),
                "spent": row.spent,
                "reached": row.asked,
                "lease": row.lease
                and {
                    "left": row.lease.left,
                    "by": row.lease.by,
                    "alive": row.lease.alive,
                    "ended": row.lease.ended,
                },
            }
            for row in found.rows
        ],
        "others": {"instances": found.others[1], "pricePerHour": round(found.others[0], 6)},
        "pricePerHour": round(found.burn, 6),
        "balance": found.credit,
        "balanceEnds": iso(found.ends),
        "warnings": found.warnings,
    }
