"""What is wrong with the options of a training, as data: how bad it is, why, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


class Severity(StrEnum):
    """An error refuses the job; a consent has to be given in the job file; a warning is only shown."""

    ERROR = "error"
    CONSENT = "consent"
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        option: the option of sd-scripts, or the place in its dataset configuration.
        reason: what happens if nothing is done.
        remedy: what to do.
        severity: how bad it is.
        rule: a stable name where it comes from a rule, else empty.
    """

    option: str
    reason: str
    remedy: str
    severity: Severity = Severity.ERROR
    rule: str = ""

    def __str__(self) -> str:
        """Say it all in one line."""
        return f"{self.option}: {self.reason}; {self.remedy}"


def suggestion(name: str, known: Collection[str], otherwise: str = "") -> str:
    """Return the remedy for an unknown name: the known one most like it, `otherwise`, or all that are known.

    Capitals, hyphens and a cut-off end count as no difference.
    """
    plain = {each.lower().replace("-", "_"): each for each in known}
    wanted = name.lower().replace("-", "_")
    begun = [each for each in plain if wanted and each.startswith(wanted)]
    near = begun if len(begun) == 1 else get_close_matches(wanted, plain, n=1, cutoff=0.6)
    if near:
        return f"did you mean {plain[near[0]]}?"
    return otherwise or f"there are {', '.join(sorted(known))}"
