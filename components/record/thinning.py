"""A long loss curve made short without losing its shape. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.record.model import LossPoint

LIMIT: Final = 2000


def thin(points: Sequence[LossPoint], limit: int = LIMIT) -> tuple[LossPoint, ...]:
    """Return at most `limit` (8 or more) of the points, in their order.

    Both ends stay, and of each of many equal spans of steps the lowest and the highest point, and the first
    without a loss. So the result may grow and be thinned again, as often as you like.
    """
    if len(points) <= limit:
        return tuple(points)
    steps = [point.step for point in points]
    first, width = min(steps), max(steps) - min(steps) + 1
    spans: defaultdict[int, list[int]] = defaultdict(list)
    for index, step in enumerate(steps):
        spans[(step - first) * ((limit - 2) // 3) // width].append(index)
    kept = {0, len(points) - 1}
    for indices in spans.values():
        losses = {index: loss for index in indices if (loss := points[index].loss) is not None}
        kept |= (
            {min(losses, key=losses.__getitem__), max(losses, key=losses.__getitem__)} if losses else set()
        )
        kept |= set([index for index in indices if index not in losses][:1])
    return tuple(points[index] for index in sorted(kept))
