"""docs/market.svg: how often a job costs at most so many times what the oracle pays. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.grid { stroke: #8886; stroke-width: 1 }
.way { fill: none; stroke-width: 2.5 }
.c0 { stroke: #b35900 } .c1 { stroke: #8250df } .c2 { stroke: #0969da } .c3 { stroke: #1a7f37 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .c0 { stroke: #ffa657 } .c1 { stroke: #d2a8ff } .c2 { stroke: #79c0ff } .c3 { stroke: #7ee787 }
}
"""
_LEFT, _TOP, _WIDTH, _HEIGHT = 60, 50, 660, 300
_MOST: Final = 16.0
"""Times the oracle's cost at the right end; what is dearer is beyond it."""


def picture(title: str, ways: Mapping[str, Sequence[float]]) -> str:
    """Return the SVG: for each way its jobs' costs as multiples of the oracle's."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 {_TOP + _HEIGHT + 60}" role="img">',
        f"<title>{title}</title><style>{_STYLE}</style>",
        f'<text x="{_LEFT}" y="22" font-weight="600">{title}</text>',
    ]
    for times in (1, 2, 4, 8, 16):
        x = _x(times)
        lines.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{_TOP + _HEIGHT}"/>')
        lines.append(f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 20}" text-anchor="middle">{times}x</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        lines.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_LEFT + _WIDTH}"/>')
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    middle = _LEFT + _WIDTH / 2
    foot = (
        "cost of the job, as a multiple of the oracle's (logarithmic); share of jobs that cost at most that"
    )
    lines.append(f'<text x="{middle}" y="{_TOP + _HEIGHT + 44}" text-anchor="middle">{foot}</text>')
    for index, (name, times) in enumerate(ways.items()):
        steps = [f"M{_LEFT} {_y(0):.1f}"]
        for done, each in enumerate(sorted(times), 1):
            steps.append(f"H{_x(each):.1f}V{_y(done / len(times)):.1f}")
        lines.append(f'<path class="way c{index}" d="{"".join(steps)}"/>')
        y = _y(0.32) + 22 * index
        lines.append(f'<path class="way c{index}" d="M{_LEFT + 440} {y - 4:.1f}h28"/>')
        lines.append(f'<text x="{_LEFT + 476}" y="{y:.1f}">{name}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _x(times: float) -> float:
    return _LEFT + _WIDTH * min(1.0, max(0.0, math.log(max(times, 1.0)) / math.log(_MOST)))


def _y(share: float) -> float:
    return _TOP + _HEIGHT * (1 - share)
