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
        credit: $ that the account can spend; None where it was not told with the offers.
        problem: why the market was not asked, empty where it was.
    """

    url: str
    offers: tuple[Offer, ...]
    when: float
    source: Literal["market", "last known", "preset"]
    bad_machines: frozenset[int]
    credit: float | None = None
    problem: str = ""


def look(node: Node, config: Callable[[str], str | None], newer_than: float = 0) -> Market:
    """Return the market for `node` and the account's balance, by at most one call of a few seconds for each.

    Args:
        node: what is searched for.
        config: reads the stack's config, such as `vast:apiKey`.
        newer_than: epoch seconds; what is kept from before is asked anew.
    """
    settings, query = Settings(config), offers.query(node)
    key = json.dumps([settings.url, query], sort_keys=True)
    file = state_folder() / "market" / f"{sha256(key.encode()).hexdigest()[:16]}.json"
    seen = partial(Market, settings.url, bad_machines=frozenset(BadMachines(settings.url).ids()))
    when, kept, credit = _kept(file)
    now = time.time()
    if kept and now - _FRESH < when <= now and when >= newer_than:
        return seen(kept, when, "market", credit=credit)
    try:
        api = settings.api(patient=False)
        found = tuple(api.search(query))
    except (VastError, ValidationError) as error:
        problem = str(error).splitlines()[0]
        if kept:
            return seen(kept, when, "last known", problem=problem)
        return seen((), now, "preset", problem=problem)
    credit = None
    with suppress(VastError, ValidationError):  # the key may not read it, or there is no answer
        credit = api.user().credit
    with suppress(OSError):
        content = {"when": now, "offers": [offer.model_dump() for offer in found], "credit": credit}
        replace(file, json.dumps(content))
    return seen(found, now, "market", credit=credit)


def _kept(file: Path) -> tuple[float, tuple[Offer, ...], float | None]:
    """Return what is kept in `file`; nothing where it is not there or damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        credit = content.get("credit")
        found = tuple(map(Offer.model_validate, content["offers"]))
        return float(content["when"]), found, None if credit is None else float(credit)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0.0, (), None
