"""Hypothesis for a busy machine: no deadline for one example, and fewer of them."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", deadline=None, max_examples=60)
settings.load_profile("unit")
