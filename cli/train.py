"""Jobs trained from start to end, renting and destroying included; several in turn on one machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulumi import automation as auto
from rich.box import SIMPLE
from rich.table import Column, Table

from cli.console import Voice
from cli.job import ready
from cli.project import known, lay_out, listener, reason
from cli.watch import watch
from components.errors import FraguaError, SpecError, TrainingFailed
from components.kohya.run import Run
from components.spec.load import placed
from components.spec.tokens import named, variable

if TYPE_CHECKING:
    from pathlib import Path

    from components.spec.train import TrainJob
    from components.stacks.prepare import Prepared


@dataclass
class Entry:
    """One job of a queue.

    Attributes:
        path: its file.
        job: what it says.
        ready: what follows from it.
        checkpoints: at home, once it is trained.
        failed: why it was not, empty otherwise.
    """

    path: Path
    job: TrainJob
    ready: Prepared
    checkpoints: list[Path] = field(default_factory=list)
    failed: str = ""


def run(root: Path, jobs: list[Path], *, name: str, keep: bool, stop: bool) -> int:
    """Train `jobs` in turn on one machine, and destroy it; return 0 if every one was trained, else 1.

    Every job is checked before anything is rented. A job whose run is complete at home is left out.

    Args:
        root: the checkout.
        jobs: job files.
        name: of the stack; empty for the first job's.
        keep: leave the machine up at the end.
        stop: after a job that failed, do not go on with the next.

    Raises:
        SpecError: a job cannot be right, or wants another machine than the first; nothing was rented.
    """
    entries = [Entry(path.resolve(), *ready(path.resolve())) for path in jobs]
    _check_nodes(entries)
    stack_name = name or f"train-{entries[0].job.name}"
    voice = Voice()
    left = [entry for entry in entries if not _complete(root, stack_name, entry, voice)]
    _check_tokens(left)
    if left:
        stack = _stack(root, stack_name)
        ends = f"`./fragua pulumi destroy -s {stack_name}` ends the billing"
        try:
            _train(stack, root, left, voice, stop=stop)
        except (KeyboardInterrupt, FraguaError) as error:  # what is trained may not be at home yet
            voice.still()
            voice.line(str(error) or "stopped watching")
            voice.line(f"a machine that was rented trains on and bills. The same command goes on; {ends}")
            return 130 if isinstance(error, KeyboardInterrupt) else 1
        if keep:
            voice.line(f"kept up, as asked: {ends}")
        else:
            _destroy(stack, voice, ends)
    _show(entries, voice)
    return 1 if any(not entry.checkpoints for entry in entries) else 0


def _train(stack: auto.Stack, root: Path, entries: list[Entry], voice: Voice, *, stop: bool) -> None:
    for entry in entries:
        voice.title(f"{entry.path.name}: {entry.ready.plan.launch.run}")
        try:
            stack.set_config("job", auto.ConfigValue(str(entry.path)))
            stack.up(on_event=listener(voice.line))
            entry.checkpoints = watch(stack, root, voice)
        except auto.CommandError as error:  # which the listener has told
            entry.failed = reason(error)
        except TrainingFailed as error:
            entry.failed = str(error)
            voice.line(entry.failed)
        if entry.failed:
            voice.still()
            if stop or not _rents(stack):
                return


def _destroy(stack: auto.Stack, voice: Voice, ends: str) -> None:
    voice.title("pulumi destroy")
    try:
        stack.destroy(on_event=listener(voice.line))
    except auto.CommandError as error:
        raise FraguaError(f"{reason(error)}. The machine may still bill: {ends}") from None


def _check_nodes(entries: list[Entry]) -> None:
    first = entries[0]
    for entry in entries[1:]:
        own, others = entry.job.node.model_dump(), first.job.node.model_dump()
        if different := [f"node.{name}" for name in own if own[name] != others[name]]:
            raise SpecError(
                f"{entry.path}: {', '.join(different)} differs from {first.path}, and a queue trains on one "
                "machine: make them equal, or train the jobs apart"
            )


def _check_tokens(entries: list[Entry]) -> None:
    """Refuse a job whose token is missing before another one is trained."""
    problems = []
    for entry in entries:
        job, place = placed(entry.path)
        problems += [
            f"{place(field)}{field}: there is no token {name}: set {variable(name)} in the environment"
            for field, name in named(job).items()
            if not os.environ.get(variable(name))
        ]
    if problems:
        raise SpecError("\n".join(problems))


def _complete(root: Path, stack: str, entry: Entry, voice: Voice) -> bool:
    launch = entry.ready.plan.launch
    found = Run(launch, root / entry.ready.home(stack))
    if found.complete:
        entry.checkpoints = list(found.checkpoints)
        voice.line(f"{entry.path.name}: {launch.run} is complete at home already")
    return found.complete


def _stack(root: Path, name: str) -> auto.Stack:
    folder = root / ".fragua" / "train" / name
    lay_out(root, folder)
    return auto.create_or_select_stack(name, work_dir=str(folder))


def _rents(stack: auto.Stack) -> bool:
    try:
        known(stack)
    except FraguaError:
        return False
    return True


def _show(entries: list[Entry], voice: Voice) -> None:
    table = Table("job", "run", "", Column("checkpoint", overflow="fold"), box=SIMPLE)
    for entry in entries:
        how = "trained" if entry.checkpoints else "failed" if entry.failed else "not begun"
        last = os.path.relpath(entry.checkpoints[-1]) if entry.checkpoints else ""
        table.add_row(entry.path.name, entry.ready.plan.launch.run, how, last)
    voice.console.print(table)
