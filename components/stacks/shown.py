"""What the last preview of a stack showed: for the `up` that follows, and for `fragua cost`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from components.cost.quote import Quote
from components.home import replace, state_folder
from components.spec.base import Spec

if TYPE_CHECKING:
    from pathlib import Path

_KEPT: Final = 16


class Shown(Spec):
    """A quote, and when it was shown."""

    quote: Quote
    at: float
    """Epoch seconds."""
    tried: float = 0
    """Epoch seconds when an `up` last went by it: what the market was before is not asked again."""
    others: tuple[Quote, ...] = ()
    """What was shown last of other jobs that the stack had, the latest first."""

    def of(self, digest: str) -> Quote | None:
        """Return what was shown last of the job with that digest; None where nothing was."""
        return next((each for each in (self.quote, *self.others) if each.digest == digest), None)


def file(stack: str) -> Path:
    """Return where it is kept: FRAGUA_HOME/cost/STACK.json."""
    return state_folder() / "cost" / f"{stack}.json"


def read(stack: str) -> Shown | None:
    """Return what was shown last; None where nothing was, or nobody can read it any more."""
    try:
        return Shown.model_validate_json(file(stack).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def write(stack: str, found: Shown) -> None:
    """Remember `found` besides what is of other jobs; where it cannot be kept, `up` looks at the market."""
    if last := read(stack):
        others = [each for each in (last.quote, *last.others) if each.digest != found.quote.digest]
        found = found.model_copy(update={"others": tuple(others[:_KEPT])})
    with suppress(OSError):
        replace(file(stack), found.model_dump_json(indent=1))
