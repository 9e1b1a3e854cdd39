"""Runs that are killed at random moments, several times, and go on by the ledger: nothing is lost but time.

The trainer is the simulated one; each part runs on a bare machine that has only what was carried home.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from events_file import scalars
from image_machine import A100

from components.kohya.ledger import (
    Ledger,
    Point,
    begun,
    brought,
    closed,
    next_part,
    observed,
    read,
    steps_done,
    write,
)
from components.kohya.options import FULL, LORA, Script
from components.kohya.progress import Progress
from components.kohya.resume import continued

if TYPE_CHECKING:
    from collections.abc import Callable

    from image_machine import Trainer

EPOCHS, PER_EPOCH = 5, 10
INTERRUPTIONS = 3
FIXED_RATE = ["scale_parameter=False", "relative_step=False", "warmup_init=False"]

COMMON: dict[str, Any] = {
    "output_name": "cat",
    "max_train_epochs": EPOCHS,
    "cache_latents": True,
    "cache_text_encoder_outputs": True,
    "mixed_precision": "bf16",
    "gradient_checkpointing": True,
    "sdpa": True,
    "save_precision": "fp16",
    "learning_rate": 1e-4,
    "save_every_n_epochs": 1,
    "save_state": True,
    "seed": 42,
    "console_log_simple": True,
}
AS_LORA = COMMON | {"network_module": "networks.lora", "network_dim": 8, "network_train_unet_only": True}
AS_FULL = COMMON | {"save_model_as": "safetensors", "full_bf16": True}
WARM = {"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 25}

CASES: dict[str, tuple[Script, dict[str, Any]]] = {
    "lora-warmup": (LORA, AS_LORA | WARM | {"optimizer_type": "AdamW8bit"}),
    "lora-cosine": (LORA, AS_LORA | {"lr_scheduler": "cosine", "lr_warmup_steps": 0.1}),
    "lora-every-second-epoch": (LORA, AS_LORA | {"lr_scheduler": "cosine", "save_every_n_epochs": 2}),
    "full-share-of-warmup": (FULL, AS_FULL | WARM | {"lr_warmup_steps": 0.5, "optimizer_type": "AdamW8bit"}),
    "full-adafactor": (FULL, AS_FULL | WARM | {"optimizer_type": "Adafactor", "optimizer_args": FIXED_RATE}),
    "full-every-second-epoch": (FULL, AS_FULL | WARM | {"save_every_n_epochs": 2}),
}


def flags(options: dict[str, Any]) -> list[str]:
    found = []
    for name, value in options.items():
        values = [] if value is True else value if isinstance(value, list) else [value]
        found += [f"--{name}", *map(str, values)]
    return found


@dataclass
class Runs:
    """A run in parts, with a home that outlives its machines."""

    trainer: Trainer
    script: Script
    options: dict[str, Any]
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.trainer.machine.with_gpus(A100)
        self.options = self.options | {
            "pretrained_model_name_or_path": self.trainer.base,
            "dataset_config": self.trainer.home / "dataset.toml",
        }
        self.ledger = Ledger(run="cat-1", name="cat", script=self.script, epochs=EPOCHS)

    @property
    def home(self) -> Path:
        return self.trainer.home / "home"

    @property
    def machine(self) -> Path:
        return self.trainer.home / "runs/cat-1"

    def part(self, kill: Callable[[Progress, str], bool]) -> tuple[Progress, str]:
        """Train one part until `kill` says so of its progress and log; return both."""
        self.ledger = begun(self.ledger, machine=len(self.ledger.parts))
        part = self.ledger.parts[-1]
        shutil.rmtree(self.machine, ignore_errors=True)
        point = next_part(closed(self.ledger, "preempted"))
        for path in filter(None, (point.state, point.weights)):
            _copy(self.home / path, self.machine / path)
        options = continued(self.script, self.options, point.under(str(self.machine)))
        assert options
        folder = self.machine / part.folder
        process = self._start(options | {"output_dir": folder, "logging_dir": folder / "logs"})
        progress, log, killed = Progress(), "", False
        assert process.stdout
        with process.stdout as output:
            while piece := output.read1(65536).decode(errors="replace"):
                log += piece
                progress.read(piece)
                if not killed and kill(progress, log):
                    process.kill()
                    killed = True
        code = process.wait(timeout=20)
        self._carry_home(folder, progress)
        ends = {0: "done", 1: "failed", -signal.SIGKILL: "preempted"}
        self.ledger = closed(self.ledger, ends[code])
        write(self.home / "ledger.json", self.ledger)
        assert read(self.home / "ledger.json") == self.ledger
        return progress, log

    def rates(self, index: int) -> dict[int, float]:
        """Return the learning rate by the run's step in a part's events."""
        part = self.ledger.parts[index - 1]
        before, logs = part.done * PER_EPOCH, self.home / part.folder / "logs"
        if not any(path.stat().st_size for path in logs.rglob("events.*")):  # killed before its first event
            return {}
        return {before + step: value for tag, step, value in scalars(logs) if tag == "lr/unet"}

    def _start(self, options: dict[str, Any]) -> subprocess.Popen[bytes]:
        program = [
            self.trainer.installed / "venv/bin/python",
            self.trainer.installed / "sd-scripts" / self.script,
        ]
        return subprocess.Popen(
            [*map(str, program), *flags(options)],
            env=self.trainer.machine.environment | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def _carry_home(self, folder: Path, progress: Progress) -> None:
        """Take what the log calls whole, as if it had been carried home just before the kill."""
        self.ledger = observed(self.ledger, progress)
        part = self.ledger.parts[-1]
        target = self.home / part.folder
        if (folder / "logs").exists():
            _copy(folder / "logs", target / "logs")
        for saved in part.saved:
            copy = target / saved.name
            _copy(folder / saved.name, copy)
            assert is_whole(copy, self.script)
            files = [copy] if copy.is_file() else sorted(copy.iterdir())
            hashes = {str(path.relative_to(target)): sha256(path.read_bytes()).hexdigest() for path in files}
            self.ledger = brought(self.ledger, part.index, saved.name, hashes)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def is_whole(path: Path, script: Script) -> bool:
    """Whether a checkpoint, or a state with all its files, can be read."""
    from models.safetensors import SafetensorError, read_header

    model = path if path.suffix else path / "model.safetensors"
    names = {"model.safetensors", "optimizer.bin", "scheduler.bin", "random_states_0.pkl"}
    if script == LORA:
        names.add("train_state.json")
    if not path.suffix and names != {each.name for each in path.iterdir()}:
        return False
    try:
        read_header(model)
    except SafetensorError:
        return False
    return True


def never(progress: Progress, log: str) -> bool:
    return False


def at_step(step: int) -> Callable[[Progress, str], bool]:
    return lambda progress, _: progress.step >= step


def at_save(count: int) -> Callable[[Progress, str], bool]:
    """Kill within the so-manieth save of a checkpoint or a state, once it has begun to write."""

    def kill(progress: Progress, log: str) -> bool:
        path = unfinished(progress)
        if path is None or len(progress.checkpoints) + len(progress.states) < count:
            return False
        deadline = time.monotonic() + 10
        while not (path.is_dir() or (path.is_file() and path.stat().st_size)) and time.monotonic() < deadline:
            time.sleep(0.001)
        return True

    return kill


def unfinished(progress: Progress) -> Path | None:
    """Return what the log does not call whole yet."""
    paths = [*progress.checkpoints, *progress.states]
    return next((Path(path) for path in paths if path not in progress.whole), None)


@pytest.fixture
def chance() -> random.Random:
    """Differs from run to run; a failure shows the seed."""
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    return random.Random(seed)


def finish(run: Runs, kill: Callable[[], Callable[[Progress, str], bool]]) -> None:
    """Train until nothing is left, with so many kills as are due in one run."""
    while next_part(run.ledger).done < EPOCHS:
        interrupted = sum(part.ended == "preempted" for part in run.ledger.parts)
        run.part(kill() if interrupted < INTERRUPTIONS else never)
        assert run.ledger.parts[-1].ended in ("preempted", "done")


def assert_nothing_lost(run: Runs) -> None:
    every = run.options["save_every_n_epochs"]
    interrupted = sum(part.ended == "preempted" for part in run.ledger.parts)
    trained, twice, left = steps_done(run.ledger)
    assert (trained - twice, left) == (EPOCHS * PER_EPOCH, 0)
    assert trained <= EPOCHS * PER_EPOCH + interrupted * every * PER_EPOCH
    saved = {
        each.epoch: run.home / part.folder / each.name
        for part in run.ledger.parts
        for each in part.saved
        if each.kind == "checkpoint"
    }
    assert saved.keys() == {*range(every, EPOCHS, every), EPOCHS}
    assert all(path.is_file() for path in saved.values())


@pytest.mark.parametrize("case", CASES)
def test_a_run_killed_at_random_steps_trains_what_one_alone_trains(
    trainer: Trainer, chance: random.Random, case: str
) -> None:
    script, options = CASES[case]
    alone = Runs(trainer, script, options)
    alone.part(never)
    planned = alone.rates(1)
    assert planned.keys() == set(range(1, EPOCHS * PER_EPOCH + 1))
    shutil.rmtree(alone.home)

    run = Runs(trainer, script, options)
    trainer.machine.write_facts(scale=1000)
    finish(run, lambda: at_step(chance.randint(1, (EPOCHS - next_part(run.ledger).done) * PER_EPOCH)))

    assert_nothing_lost(run)
    seen: dict[int, float] = {}
    for part in run.ledger.parts:
        rates = run.rates(part.index)
        assert abs(len(rates) - part.steps) <= 1
        assert rates == {step: planned[step] for step in rates}
        seen |= rates
    assert seen == planned


@pytest.mark.parametrize("case", ["lora-cosine", "full-adafactor"])
def test_what_a_kill_cuts_off_while_it_is_saved_is_never_taken(
    trainer: Trainer, chance: random.Random, case: str
) -> None:
    script, options = CASES[case]
    run = Runs(trainer, script, options | ({"network_dim": 128} if script == LORA else {}))
    trainer.machine.write_facts(scale=100)
    cut_off = []
    while next_part(run.ledger).done < EPOCHS:
        left = EPOCHS - next_part(run.ledger).done
        kill = at_save(chance.randint(1, min(4, 2 * left - 1)))
        enough = any(cut_off) and len(run.ledger.parts) >= INTERRUPTIONS
        progress, _ = run.part(never if enough else kill)
        part = run.ledger.parts[-1]
        if newest := unfinished(progress):
            assert newest.name not in {saved.name for saved in part.saved}
            assert not (run.home / part.folder / newest.name).exists()
            cut_off.append(newest.exists() and not is_whole(newest, script))

    assert_nothing_lost(run)
    assert any(cut_off)


@pytest.mark.parametrize("case", ["lora-cosine", "full-adafactor"])
def test_a_run_begins_anew_when_every_state_at_home_has_failed(trainer: Trainer, case: str) -> None:
    run = Runs(trainer, *CASES[case])
    trainer.machine.write_facts(scale=300)
    run.part(at_step(2 * PER_EPOCH + 5))
    for path in run.home.glob("part-1/*-state/scheduler.bin"):
        path.unlink()
    saved = next_part(run.ledger).done
    for _ in range(saved):
        run.part(never)
    run.part(never)

    assert saved >= 2
    assert [part.ended for part in run.ledger.parts] == ["preempted", *["failed"] * saved, "done"]
    assert [part.done for part in run.ledger.parts] == [0, *range(saved, 0, -1), 0]
    assert next_part(run.ledger).done == EPOCHS
    assert steps_done(run.ledger).left == 0


def test_on_two_gpus_a_lora_goes_on_where_the_number_of_an_epoch_would_not_lead_it(trainer: Trainer) -> None:
    trainer.machine.with_gpus(A100, A100)
    options: dict[str, Any] = AS_LORA | {
        "pretrained_model_name_or_path": trainer.base,
        "dataset_config": trainer.home / "dataset.toml",
        "output_dir": trainer.output,
    }
    script = trainer.installed / "sd-scripts" / LORA

    def launch(options: dict[str, Any]) -> list[str]:
        two = ("--num_processes", "2", "--multi_gpu", "--mixed_precision", "bf16")
        done = trainer.launch(*two, script, *flags(options))
        assert done.returncode == 0, done.stderr
        return re.findall(r"^epoch \d+/\d+", done.stdout, re.MULTILINE)

    launch(options)
    point = Point(3, state=str(trainer.output / "cat-000003-state"), steps_per_epoch=PER_EPOCH // 2)
    right = continued(LORA, options, point, processes=2)
    wrong = continued(LORA, options, point)
    assert right
    assert wrong

    assert launch(right) == ["epoch 4/5", "epoch 5/5"]
    assert launch(wrong) != ["epoch 4/5", "epoch 5/5"]
