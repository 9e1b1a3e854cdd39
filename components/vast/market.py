"""The market as a preview sees it: asked once, kept for five minutes, and known from last time without it.

Nothing here fails: who only looks at a price must not be stopped by a missing key or network.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ValidationError

from components.errors import VastError
from components.home import replace, state_folder
from components.vast import offers
from components.vast.machines import BadMachines
from components.vast.settings import Settings
from components.vast.wire import Offer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from components.spec.node import Node

_FRESH: Final = 300


@dataclass(frozen=True)
class Market:
    """Offers of one moment.

    Attributes:
        url: of the API.
        offers: what the search for a node found; empty where nothing is known.
        when: epoch seconds of it.
        source: `market` within five minutes, `last known` earlier, `preset` where nothing is known.
        bad_machines: that failed here before.
        problem: why the market was not asked, empty where it was.
    """

    url: str
    offers: tuple[Offer, ...]
    when: float
    source: Literal["market", "last known", "preset"]
    bad_machines: frozenset[int]
    problem: str = ""


def look(node: Node, config: Callable[[str], str | None], newer_than: float = 0) -> Market:
    """Return the market for `node`, by at most one call of a few seconds.

    Args:
        node: what is searched for.
        config: reads the stack's config, such as `vast:apiKey`.
        newer_than: epoch seconds; what is kept from before is asked anew.
    """
    settings, query = Settings(config), offers.query(node)
    key = json.dumps([settings.url, query], sort_keys=True)
    file = state_folder() / "market" / f"{sha256(key.encode()).hexdigest()[:16]}.json"
    seen = partial(Market, settings.url, bad_machines=frozenset(BadMachines(settings.url).ids()))
    when, kept = _kept(file)
    now = time.time()
    if kept and now - _FRESH < when <= now and when >= newer_than:
        return seen(kept, when, "market")
    try:
        found = tuple(settings.api(patient=False).search(query))
    except (VastError, ValidationError) as error:
        problem = str(error).splitlines()[0]
        if kept:
            return seen(kept, when, "last known", problem=problem)
        return seen((), now, "preset", problem=problem)
    with suppress(OSError):
        content = {"when": now, "offers": [offer.model_dump() for offer in found]}
        replace(file, json.dumps(content))
    return seen(found, now, "market")


def _kept(file: Path) -> tuple[float, tuple[Offer, ...]]:
    """Return what is kept in `file`; nothing where it is not there or damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return float(content["when"]), tuple(map(Offer.model_validate, content["offers"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0, ()
