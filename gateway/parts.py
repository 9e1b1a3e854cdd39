"""What a running gateway is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfy.workflows import Workflow
    from gateway.auth import Tokens
    from gateway.health import Health
    from gateway.images import Images
    from gateway.metrics import Metrics
    from gateway.settings import Catalogue, Settings
    from gateway.store import Store
    from gateway.worker import Worker


@dataclass(frozen=True)
class Parts:
    """What the routes work with."""

    settings: Settings
    offer: Catalogue
    workflows: Mapping[str, Workflow]
    tokens: Tokens
    metrics: Metrics
    store: Store
    images: Images
    health: Health
    worker: Worker
