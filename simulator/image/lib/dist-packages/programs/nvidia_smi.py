"""`nvidia-smi`: the table, `-L`, and `--query-gpu` / `--query-compute-apps` as CSV.

The layout is that of driver 550 to 580. It does not know what runs, only what each process said it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hardware import gpu
from hardware.facts import Gpu, machine

from programs.console import say

_VERSION_LINE = "| NVIDIA-SMI {0:<23}Driver Version: {0:<15}CUDA Version: {1:<9}|"

# Board power limits in W from NVIDIA's data sheets; 300 for a card that is not here.
_POWER = {
    "A100-SXM": 400, "A100": 300, "H100 PCIe": 350, "H100": 700, "H200": 700, "B200": 1000, "L40S": 350,
    "L40": 300, "L4": 72, "A10": 150, "A40": 300, "V100": 300, "T4": 70, "5090": 575, "5080": 360,
    "4090": 450, "4080": 320, "4070": 285, "4060": 160, "3090": 350, "3080": 320, "3060": 170,
    "6000 Ada": 300, "A6000": 300, "A5000": 230,
}  # fmt: skip


class _State:
    """One GPU at this moment."""

    def __init__(self, index: int, card: Gpu) -> None:
        self.index, self.card = index, card
        self.owners = [process for process in gpu.processes() if index in process.memory_mib]
        self.busy = max((process.utilization for process in self.owners), default=0)
        idle_memory = 1 if "GeForce" not in card.name else 2
        self.used = min(card.memory_mib, idle_memory + sum(owner.memory_mib[index] for owner in self.owners))
        self.limit = next((watts for part, watts in _POWER.items() if part in card.name), 300)
        self.power = self.limit * (0.09 + 0.84 * self.busy / 100)
        self.temperature = 31 + index % 4 + self.busy * 33 // 100
        self.pstate = "P2" if self.busy and "GeForce" in card.name else "P0" if self.busy else "P8"
        self.bus = f"00000000:{index + 1:02X}:00.0"


_Reader = Callable[[_State], str]

# field -> (unit, value)
_FIELDS: dict[str, tuple[str, _Reader]] = {
    "index": ("", lambda state: str(state.index)),
    "count": ("", lambda _: str(len(machine().gpus))),
    "name": ("", lambda state: state.card.name),
    "uuid": ("", lambda state: state.card.uuid),
    "driver_version": ("", lambda state: state.card.driver),
    "pstate": ("", lambda state: state.pstate),
    "memory.total": ("MiB", lambda state: str(state.card.memory_mib)),
    "memory.used": ("MiB", lambda state: str(state.used)),
    "memory.free": ("MiB", lambda state: str(state.card.memory_mib - state.used)),
    "memory.reserved": ("MiB", lambda _: "0"),
    "utilization.gpu": ("%", lambda state: str(state.busy)),
    "utilization.memory": ("%", lambda state: str(state.busy * 6 // 10)),
    "temperature.gpu": ("", lambda state: str(state.temperature)),
    "power.draw": ("W", lambda state: f"{state.power:.2f}"),
    "power.limit": ("W", lambda state: f"{state.limit:.2f}"),
    "fan.speed": (
        "%",
        lambda state: "[N/A]" if "GeForce" not in state.card.name else str(30 + state.busy // 2),
    ),
    "pci.bus_id": ("", lambda state: state.bus),
    "compute_mode": ("", lambda _: "Default"),
    "persistence_mode": ("", lambda _: "Enabled"),
    "compute_cap": ("", lambda state: compute_capability(state.card.name)),
    "ecc.mode.current": ("", lambda state: "[N/A]" if "GeForce" in state.card.name else "Enabled"),
    "timestamp": ("", lambda _: time.strftime("%Y/%m/%d %H:%M:%S.000")),
}
_ALIASES = {"gpu_name": "name", "gpu_uuid": "uuid", "gpu_bus_id": "pci.bus_id"}


def main(arguments: list[str]) -> int:
    """Run nvidia-smi."""
    if not machine().gpus:
        say("No devices were found")
        return 6
    options = _options(arguments)
    if isinstance(options, str):
        say(options)
        return 2
    states = [_State(index, card) for index, card in enumerate(machine().gpus)]
    if "id" in options:
        wanted = options["id"].split(",")
        states = [state for state in states if str(state.index) in wanted or state.card.uuid in wanted]
        if not states:
            say("No devices were found")
            return 6
    if "list" in options:
        for state in states:
            say(f"GPU {state.index}: {state.card.name} (UUID: {state.card.uuid})")
        return 0
    if "gpu" in options or "apps" in options:
        return _query(options, states)
    say(_table(states))
    return 0


def _options(arguments: list[str]) -> dict[str, str] | str:
    names = {
        "-L": "list", "--list-gpus": "list", "-i": "id", "--id": "id",
        "--query-gpu": "gpu", "--query-compute-apps": "apps", "--format": "format",
    }  # fmt: skip
    options: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        key, equals, value = argument.partition("=")
        if key not in names:
            return (
                "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n"
                f"Option {argument}"
            )
        name = names[key]
        options[name] = value if equals or name == "list" else next(rest, "")
    if ("gpu" in options or "apps" in options) and "format" not in options:
        return "\"--format=\" switch is missing. Please run 'nvidia-smi -h' for help.\n"
    return options


def _query(options: dict[str, str], states: list[_State]) -> int:
    form = options["format"].split(",")
    if form[0] != "csv":
        say(f'"--format={options["format"]}" is not a recognized format.')
        say("Please run 'nvidia-smi -h' for help.\n")
        return 2
    if "apps" in options:
        return _query_apps(options["apps"], form, states)
    fields = [field.strip() for field in options["gpu"].split(",")]
    for field in fields:
        if _ALIASES.get(field, field) not in _FIELDS:
            say(f'Field "{field}" is not a valid field to query.\n')
            return 2
    readers = [_FIELDS[_ALIASES.get(field, field)] for field in fields]
    if "noheader" not in form:
        heads = [
            f"{field} [{unit}]" if unit else field for field, (unit, _) in zip(fields, readers, strict=True)
        ]
        say(", ".join(_without_units(heads, form)))
    for state in states:
        values = [f"{read(state)} {unit}".strip() for unit, read in readers]
        say(", ".join(_without_units(values, form)))
    return 0


def _query_apps(query: str, form: list[str], states: list[_State]) -> int:
    fields = [field.strip() for field in query.split(",")]
    known = ("pid", "process_name", "name", "used_memory", "used_gpu_memory", "gpu_uuid", "gpu_name")
    for field in fields:
        if field not in known:
            say(f'Field "{field}" is not a valid field to query.\n')
            return 2
    if "noheader" not in form:
        heads = [f"{field} [MiB]" if "memory" in field else field for field in fields]
        say(", ".join(_without_units(heads, form)))
    for state in states:
        for owner in state.owners:
            memory = f"{owner.memory_mib[state.index]} MiB"
            values = (
                str(owner.pid),
                owner.name,
                owner.name,
                memory,
                memory,
                state.card.uuid,
                state.card.name,
            )
            row = dict(zip(known, values, strict=True))
            say(", ".join(_without_units([row[field] for field in fields], form)))
    return 0


def _without_units(cells: list[str], form: list[str]) -> list[str]:
    if "nounits" not in form:
        return cells
    units = (" MiB", " W", " %", " [MiB]", " [W]", " [%]")
    return [next((cell.removesuffix(unit) for unit in units if cell.endswith(unit)), cell) for cell in cells]


def compute_capability(name: str) -> str:
    """Return the generation of a card, `8.9` for an RTX 4090."""
    marks = {
        "B200": "10.0", "RTX 50": "12.0", "H100": "9.0", "H200": "9.0", "RTX 40": "8.9",
        "L40": "8.9", "L4": "8.9",
        "Ada": "8.9", "A100": "8.0", "V100": "7.0", "T4": "7.5", "RTX 20": "7.5", "GTX 10": "6.1",
    }  # fmt: skip
    return next((capability for mark, capability in marks.items() if mark in name), "8.6")


def _table(states: list[_State]) -> str:
    first = states[0].card
    rule = "+-----------------------------------------+------------------------+----------------------+"
    wide = "+" + "-" * 89 + "+"
    lines = [
        time.strftime("%a %b %e %H:%M:%S %Y       "),
        wide,
        _VERSION_LINE.format(first.driver, first.cuda),
        "|" + rule[1:],
        "| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |",
        "| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |",
        "|                                         |                        |               MIG M. |",
        "|" + rule[1:-1].replace("-", "=") + "|",
    ]
    for state in states:
        geforce = "GeForce" in state.card.name
        fan = f"{30 + state.busy // 2}%" if geforce else "N/A"
        ecc, mig = ("N/A", "N/A") if geforce else ("0", "Disabled")
        power = f"{state.power:.0f}W / {state.limit:>4}W"
        usage = f"{state.busy:>7}%      Default"
        memory = f"{state.used:>8}MiB / {state.card.memory_mib:>6}MiB"
        lines += [
            f"|{state.index:>4}  {state.card.name[:30]:<31}On  |   {state.bus} Off | {ecc:>20} |",
            f"| {fan:>3}{state.temperature:>5}C{state.pstate:>6}{power:>24} |{memory} |{usage} |",
            f"|                                         |                        | {mig:>20} |",
            rule,
        ]
    lines += [
        " " * 91,
        wide,
        "| Processes:                                                                              |",
        "|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |",
        "|        ID   ID                                                               Usage      |",
        "|" + "=" * 89 + "|",
    ]
    rows = [
        f"|  {state.index:>3}   N/A  N/A {owner.pid:>16}      C   {owner.name[:34]:<34} "
        f"{owner.memory_mib[state.index]:>8}MiB |"
        for state in states
        for owner in state.owners
    ]
    lines += rows or [
        "|  No running processes found                                                             |"
    ]
    return "\n".join([*lines, wide])
