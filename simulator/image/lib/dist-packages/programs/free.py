"""`free`: the rented share of the host's memory."""

from __future__ import annotations

from hardware.facts import machine

from programs.console import fail, say

_UNITS = {"-b": 1, "-k": 1024, "-m": 1024**2, "-g": 1024**3, "--mebi": 1024**2, "--gibi": 1024**3}


def main(arguments: list[str]) -> int:
    """Run free."""
    unit, human = 1024, False
    for argument in arguments:
        if argument in {"-h", "--human"}:
            human = True
        elif argument in _UNITS:
            unit = _UNITS[argument]
        elif argument not in {"-t", "-w", "--total", "--wide"}:
            fail(f"free: invalid option -- '{argument.lstrip('-')}'\n\nUsage:\n free [options]", 1)
    total = machine().ram_mib * 2**20
    used, cache = total // 25 + 400 * 2**20, total // 6
    values = (total, used, total - used - cache, 20 * 2**20, cache, total - used)
    say(f"{'total':>19}{'used':>12}{'free':>12}{'shared':>12}{'buff/cache':>12}{'available':>12}")
    say("Mem:   " + "".join(f"{_amount(value, unit, human=human):>12}" for value in values))
    say("Swap:  " + "".join(f"{_amount(0, unit, human=human):>12}" for _ in range(3)))
    return 0


def _amount(size: int, unit: int, *, human: bool) -> str:
    if not human:
        return str(size // unit)
    value, letters = float(size), ["B", "Ki", "Mi", "Gi", "Ti"]
    while value >= 1024 and len(letters) > 1:
        value /= 1024
        letters.pop(0)
    return f"{value:.1f}{letters[0]}" if 0 < value < 10 else f"{value:.0f}{letters[0]}"
