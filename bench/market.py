"""What jobs cost by several ways to rent, in 200 markets of the simulator: `./fragua bench market [MARKETS]`.

Each market has one job, which every way replays from the same moment on. The simulator's own rules bill;
nothing waits, and nothing is random but by its seed. All 200 draw docs/market.svg anew.
"""

from __future__ import annotations

import time
from statistics import fmean
from typing import TYPE_CHECKING, Final

from bench.replay.cases import CASES, Case
from bench.replay.oracle import oracle
from bench.replay.plot import picture
from bench.replay.ways import Outcome, Way, guide, least, ours, play
from bench.replay.world import World
from components.cost.experience import Experience

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MARKETS: Final = 200
_GUIDE: Final = Way("the guide", guide, by_guide=True)
_LEAST: Final = Way("least bid", least)
_NEW: Final = ours("fragua, new", Experience())
_OLD: Final = "fragua, calibrated"
_ORACLE: Final = "oracle"

Row = tuple[Case, dict[str, Outcome]]
"""A job, and what it took by each way."""


def main(root: Path, markets: str = str(_MARKETS)) -> None:
    """Replay, print the table and draw."""
    begun = time.process_time()
    rows = replay(int(markets))
    print("\n".join(table(rows)))
    print(f"\n{time.process_time() - begun:.0f} s of one core", flush=True)
    if len(rows) == _MARKETS:
        ways = {
            name: [took[name].dollars / took[_ORACLE].dollars for _, took in rows]
            for name in rows[0][1]
            if name != _ORACLE
        }
        (root / "docs" / "market.svg").write_text(
            picture(f"What {len(rows)} jobs cost, each in a simulated market of its own", ways)
        )


def replay(markets: int) -> list[Row]:
    """Return what each way took in each of that many markets."""
    experience, rows = Experience(), list[Row]()
    for seed in range(markets):
        case, world = CASES[seed % len(CASES)], World(seed)
        start = 3600.0 * (24 + seed % 24)
        ways = (_GUIDE, _LEAST, _NEW, ours(_OLD, experience))
        took = {way.name: play(world, case, start, way) for way in ways}
        learned = took[_OLD]
        experience = Experience(
            bid_hours=experience.bid_hours + learned.bid_hours, outbid=experience.outbid + learned.outbid
        )
        rows.append((case, {**took, _ORACLE: oracle(world, case, start, took.values())}))
    return rows


def table(rows: Sequence[Row]) -> list[str]:
    """Return the table, line by line."""
    heads = f"{'of guide':>10}{'of least':>10}{'of oracle':>11}{'LoRA':>12}{'fine-tune':>12}"
    lines = [
        f"{len(rows)} markets, each with one job; $ are sums over the job, ratios those of mean $",
        "",
        f"{'':20}{'mean $':>8}{'p90 $':>8}{'mean h':>8}{'late':>7}{'lost':>7}{heads}",
    ]
    kinds = [[row for row in rows if row[0].work.kind == kind] for kind in ("lora", "full")]
    for name in rows[0][1]:
        took = [each[name] for _, each in rows]
        dollars = sorted(each.dollars for each in took)
        due = [(case.hours, each[name]) for case, each in rows if case.hours]
        late = fmean([not each.done or each.hours > hours for hours, each in due] or [0])
        of = [_ratio(rows, name, base) for base in (_GUIDE.name, _LEAST.name, _ORACLE)]
        by_kind = [
            f"{_ratio(some, name, _GUIDE.name):.2f} {_ratio(some, name, _ORACLE):.2f}" if some else "-"
            for some in kinds
        ]
        lines.append(
            f"{name:20}{fmean(dollars):8.2f}{dollars[int(0.9 * (len(dollars) - 1))]:8.2f}"
            f"{fmean(each.hours for each in took):8.2f}{late:7.0%}{fmean(each.losses for each in took):7.1f}"
            f"{of[0]:10.2f}{of[1]:10.2f}{of[2]:11.2f}{by_kind[0]:>12}{by_kind[1]:>12}"
        )
    return [
        *lines,
        "",
        "late: of the jobs with a deadline; lost: machines a job; LoRA, fine-tune: of guide, of oracle",
    ]


def _ratio(rows: Sequence[Row], name: str, base: str) -> float:
    return fmean(took[name].dollars for _, took in rows) / fmean(took[base].dollars for _, took in rows)
