"""What the account was charged, for each stack and run, from Vast.ai's own charges."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.table import Column, Table

from cli.console import Voice
from cli.stacks import account, survey
from cli.tables import show
from components.errors import FraguaError
from components.home import output_folder
from components.record import store
from components.vast.charges import Line, Owner, Sums, bill

if TYPE_CHECKING:
    from pathlib import Path

    from cli.stacks import Survey
    from components.vast.client import Api

DAY: Final = 86400
_BACK: Final = re.compile(r"(\d{1,4})\s*([hdw])")
_UNITS: Final = {"h": 3600, "d": DAY, "w": 7 * DAY}


def run(root: Path, since: str, *, as_json: bool) -> None:
    """Print the bill of the days from `since`, such as 7d or 2026-11-01, until now.

    Raises:
        FraguaError: `since` is no such time, or there is no key.
    """
    now = time.time()
    begin = begin_of(since, now)
    api = account(root)
    charge(root, survey(root), api, begin, now + DAY, as_json=as_json)


def charge(root: Path, found: Survey, api: Api, begin: float, end: float, *, as_json: bool) -> None:
    """Print what was charged from `begin` to `end`, in epoch seconds."""
    voice = Voice()
    owners, damaged = owners_of(root, found)
    lines = bill(api.charges(begin, end), owners)
    total = sum((line.sums for line in lines), Sums())
    if as_json:
        print(json.dumps(_described(begin, lines, total), indent=1))
        return
    for problem in (*found.unreadable, *damaged):
        voice.line(f"not read, so that its instances go by their labels: {problem}")
    voice.line(f"charged since {datetime.fromtimestamp(begin, UTC):%Y-%m-%d}, by days in UTC, in $")
    names = ["GPU", "disk", "in", "out", *(["other"] if total.other else []), "total"]
    numbers = [Column(name, justify="right") for name in names]
    table = Table("stack", "run", Column("instances", justify="right"), *numbers)
    for line in lines:
        owner = line.owner or Owner("not fragua's")
        table.add_row(owner.stack, owner.run, str(len(line.instances) or ""), *_cells(line.sums, total))
    table.add_section()
    table.add_row("in all", "", "", *_cells(total, total))
    show(voice.console, table, ("instances",))


def begin_of(since: str, now: float) -> float:
    """Return the midnight (UTC) of the day that `since` lies on: charges are kept by days.

    Raises:
        FraguaError: it is no time that has passed.
    """
    text = since.strip()
    if match := _BACK.fullmatch(text):
        moment = now - int(match[1]) * _UNITS[match[2]]
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise FraguaError(
                f"--since: write how far back, as 12h, 7d or 4w, or a date, as 2026-11-01; found {since!r}"
            ) from None
        moment = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if moment > now:
        raise FraguaError(f"--since: {since} is not past yet")
    return max(0.0, moment // DAY * DAY)


def owners_of(root: Path, found: Survey) -> tuple[dict[int, Owner], list[str]]:
    """Return whose each instance was, by the records of runs and the stacks' states; and what is damaged."""
    runs: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    records, damaged = store.every(root / output_folder())
    for folder, record in records.items():
        for machine in record.machines:
            runs[machine.instance].append((folder.parent.name, folder.name))
    owners = {
        each: Owner(names[0][0], " + ".join(dict.fromkeys(run for _, run in names)))
        for each, names in runs.items()
    }
    for stack in found.stacks:
        owner = Owner(stack.name, str(stack.outputs.get("run") or ""))
        owners = {each.instance: owner for each in stack.state.machines} | owners
    return owners, [str(error) for error in damaged]


def _cells(sums: Sums, total: Sums) -> list[str]:
    other = [sums.other] if total.other else []
    return [f"{value:.2f}" for value in (sums.gpu, sums.disk, sums.down, sums.up, *other, sums.total)]


def _described(begin: float, lines: list[Line], total: Sums) -> dict[str, object]:
    return {
        "since": datetime.fromtimestamp(begin, UTC).isoformat(),
        "lines": [
            {
                "stack": line.owner.stack if line.owner else None,
                "run": line.owner.run if line.owner else None,
                "instances": line.instances,
                **_rounded(line.sums),
            }
            for line in lines
        ],
        **_rounded(total),
    }


def _rounded(sums: Sums) -> dict[str, float]:
    return {**{name: round(value, 6) for name, value in asdict(sums).items()}, "total": round(sums.total, 6)}
