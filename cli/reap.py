"""What bills for nothing: listed, and on request ended. For people, for cron and for CI."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from cli.console import Voice
from cli.fleet import fleet
from cli.stacks import account, survey
from components.errors import FraguaError
from components.spec.base import Duration
from components.vast.orphans import Kind
from components.vast.release import release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.fleet import Fleet
    from components.vast.client import Api
    from components.vast.orphans import Finding

NOTHING, FOUND, UNDECIDED = 0, 3, 1
"""Exit codes; 2 is that of a command that is not written as it has to be."""


def run(root: Path, named: list[int], *, destroy: bool, yes: bool, older_than: str, as_json: bool) -> int:
    """List what bills for nothing, and return 3 if there is something, 0 if not, 1 if it cannot be told.

    Args:
        root: of the project.
        named: the only instances to look at; an orphan even where a stack cannot be read. Empty for all.
        destroy: whether to end what is found: see `ending`.
        yes: whether not to ask first.
        older_than: age, such as 45m, below which nothing is called an orphan.
        as_json: whether to speak to a program.

    Raises:
        FraguaError: an instance that was named is not to be ended, or there is nobody to ask.
        ProvisioningError: the account's list still shows what was destroyed.
    """
    if destroy and not yes and (as_json or not sys.stdin.isatty()):
        raise FraguaError("--destroy asks before it destroys: say --yes too where there is nobody to ask")
    try:
        grace = TypeAdapter(Duration).validate_python(older_than)
    except ValidationError as error:
        raise FraguaError(f"--older-than: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    api = account(root)

    def look() -> Fleet:
        return fleet(survey(root), api)

    return reap(look, api, named, destroy=destroy, yes=yes, grace=grace, as_json=as_json)


def reap(
    look: Callable[[], Fleet],
    api: Api,
    named: list[int],
    *,
    destroy: bool,
    yes: bool,
    grace: float,
    as_json: bool,
) -> int:
    """Do what `run` does, with the account and the stacks as `look` finds them."""
    seen = look()
    found = seen.judged(grace, named)
    _check_named(seen, found, named)
    if not as_json:
        _show(seen, found)
    ended: list[int] = []
    if destroy and (ends := ending(found, named)):
        if not (yes or _agreed(ends)):
            return FOUND
        # meanwhile an `up` may have taken up what was an orphan
        still = {each.instance.id for each in look().judged(grace, named)}
        ends = [each for each in ends if each.instance.id in still]
        ended = _end(api, ends, named)
        if not as_json:
            _tell(ends)
    if as_json:
        print(json.dumps(_described(seen, found, ended), indent=1))
    return FOUND if found else UNDECIDED if seen.undecided else NOTHING


def ending(found: list[Finding], named: list[int]) -> list[Finding]:
    """Return what reaping ends: not what may hold work that is nowhere else, unless it was named."""
    return [each for each in found if each.action != "leave" or each.instance.id in named]


def _check_named(seen: Fleet, found: list[Finding], named: list[int]) -> None:
    fine = set(named) - {each.instance.id for each in found}
    for number in sorted(fine):
        kept = [state.stack for state in seen.states for each in state.machines if each.instance == number]
        if kept:
            raise FraguaError(f"instance {number} is fine: `pulumi destroy -s {kept[0]}` ends it")
        if number not in {each.id for each in seen.instances}:
            raise FraguaError(f"this account has no instance {number}")
        raise FraguaError(
            f"instance {number} is not to be reaped: it does not carry fragua's label, or is younger than "
            "--older-than"
        )


def _agreed(ends: list[Finding]) -> bool:
    several = f"{len(ends)} instances" if len(ends) > 1 else f"instance {ends[0].instance.id}"
    return input(f"End {several}, with all that is on {'them' if len(ends) > 1 else 'it'}? [y/N] ") in (
        "y",
        "Y",
    )


def _end(api: Api, ends: list[Finding], named: list[int]) -> list[int]:
    """Stop or destroy, and return what is ended; the account's own list proves the destroyed."""
    for each in ends:
        if each.action == "stop" and each.instance.id not in named:
            api.stop(each.instance.id)
    destroyed = [each.instance.id for each in ends if each.action != "stop" or each.instance.id in named]
    if destroyed:
        release(api, destroyed)
    return sorted(each.instance.id for each in ends)


def _show(seen: Fleet, found: list[Finding]) -> None:
    voice = Voice()
    for problem in seen.survey.unreadable:
        voice.line(f"not read: {problem}")
    if seen.undecided:
        some = ", ".join(map(str, seen.undecided))
        voice.line(f"with fragua's label, and in no stack that was read: {some}. They may be in another")
    if not found:
        voice.line(f"nothing {'else ' if seen.undecided else ''}found that bills for nothing")
        return
    for each in found:
        instance = each.instance
        gpu = f"{instance.num_gpus}x {instance.gpu_name}"
        voice.line(f"{each.kind}: instance {instance.id}, {gpu}, of {each.stack}: {each.rate:.3f} $/h")
        number = f" {instance.id}" if each.action == "leave" else ""
        does = "stops" if each.action == "stop" else "destroys"
        voice.line(f"  {each.why}; `./fragua reap --destroy{number}` {does} it")
    voice.line(f"{len(found)} found, {sum(each.rate for each in found):.3f} $/h")


def _tell(ended: list[Finding]) -> None:
    print(f"ended: {', '.join(str(each.instance.id) for each in ended) or 'nothing'}")
    for stack in sorted({each.stack for each in ended if each.kind is not Kind.ORPHAN}):
        print(f"stack {stack} does not know yet: `pulumi refresh -s {stack}` tells it")


def _described(seen: Fleet, found: list[Finding], ended: list[int]) -> dict[str, Any]:
    return {
        "found": [
            {
                "instance": each.instance.id,
                "label": each.instance.label,
                "stack": each.stack,
                "kind": str(each.kind),
                "why": each.why,
                "pricePerHour": round(each.rate, 6),
                "action": each.action,
                "ended": each.instance.id in ended,
            }
            for each in found
        ],
        "undecided": seen.undecided,
        "unreadable": list(seen.survey.unreadable),
    }
