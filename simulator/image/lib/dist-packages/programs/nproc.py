"""`nproc`: the CPU cores of the rented share."""

from __future__ import annotations

from hardware.facts import machine

from programs.console import say


def main(arguments: list[str]) -> int:
    """Run nproc."""
    ignored = next((int(one.partition("=")[2]) for one in arguments if one.startswith("--ignore=")), 0)
    say(str(max(1, machine().cores - ignored)))
    return 0
