"""Interruptible machines that are lost while they train: watch rents others and goes on."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from engine_runs import Cloud, MakeStack, Stack
from pulumi import automation as auto

from cli.console import Voice
from cli.watch import watch
from components.errors import TrainingFailed
from components.kohya.books import LEDGER
from components.kohya.ledger import Ledger, next_part, read, steps_done
from components.record import store
from components.remote.shell import connect
from toolchain.bootstrap import ROOT

EPOCHS, SAVE_EVERY = 10, 2
EARLY = 0.3
PAUSE = 2.0
"""Seconds; an interval takes about ten."""


def ledger_of(stack: Stack) -> Ledger | None:
    found = list(stack.folder.parent.glob(f"output/{stack.name}/*/{LEDGER}"))
    return read(found[0]) if found else None


@contextmanager
def losing(stack: Stack, cloud: Cloud, losses: int, draws: random.Random) -> Iterator[list[int]]:
    """Outbid the machine so many times while the block runs, at a random moment of an interval.

    That is before a part's first state is at home, or after it is; an interval takes long enough for a state
    to come home meanwhile. Collects the epochs that were at home.
    """
    over, lost = threading.Event(), list[int]()

    def lose() -> None:
        for part in range(1, losses + 1):
            early = draws.random() < EARLY
            while not over.wait(0.05):
                ledger = ledger_of(stack)
                if not (ledger and len(ledger.parts) == part and ledger.parts[-1].steps):
                    continue
                if early or next_part(ledger).done > ledger.parts[-1].done:
                    over.wait(draws.uniform(0, PAUSE))
                    lost.append(next_part(ledger).done)
                    [instance] = cloud.billing(f"{stack.name}/")
                    cloud.ask("POST", f"instances/{instance}/outbid")
                    break

    thread = threading.Thread(target=lose)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join()


def followed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    return watch(auto.select_stack(stack.name, work_dir=str(stack.folder)), ROOT, Voice())


def test_a_machine_that_stays_offline_is_given_up(
    make_stack: MakeStack, dataset: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.watch._GIVE_UP", 1.0)
    config = {
        "override__dataset__path": dataset,
        "override__dataset__repeats": 100,
        "override__training__epochs": 2,
    }
    stack = make_stack("offline", job="configs/sdxl-lora.yaml", **config)
    stack.up()
    [instance] = cloud.billing("offline/")
    cloud.ask("POST", f"instances/{instance}/offline")
    checkpoints = followed(stack, monkeypatch)

    assert [path.name for path in checkpoints] == ["animal-000001.safetensors", "animal.safetensors"]
    record = store.read(checkpoints[0].parent)
    assert record
    assert len({machine.instance for machine in record.machines}) == 2
    assert instance not in cloud.billing("offline/")


def test_where_nothing_can_be_rented_at_first_it_is_tried_again(
    make_stack: MakeStack, dataset: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "override__dataset__path": dataset,
        "override__dataset__repeats": 200,
        "override__node__bid": 1.5,
        "override__training__epochs": 2,
    }
    stack = make_stack("scarce", job="configs/sdxl-lora.yaml", **config)
    stack.up()
    [instance] = cloud.billing("scarce/")
    cloud.ask("POST", "price", multiply=50)
    cloud.ask("POST", f"instances/{instance}/outbid")
    told: list[str] = []

    class Ear(Voice):
        def line(self, text: str) -> None:
            told.append(text)
            if text.endswith("; trying again"):
                cloud.ask("POST", "price", multiply=1 / 50)

    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    checkpoints = watch(auto.select_stack(stack.name, work_dir=str(stack.folder)), ROOT, Ear())

    assert sum(text.endswith("; trying again") for text in told) == 1
    assert checkpoints[-1].name == "animal.safetensors"
    assert len(cloud.billing("scarce/")) == 1


def test_an_outbid_machine_is_kept_for_a_higher_bid_where_that_is_cheaper(
    make_stack: MakeStack, dataset: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is short: to begin anew elsewhere would take longer than what is left."""
    config = {
        "override__dataset__path": dataset,
        "override__dataset__repeats": 150,
        "override__node__bid": "auto",
        "override__training__epochs": 2,
    }
    stack = make_stack("kept", job="configs/sdxl-lora.yaml", **config)
    with losing(stack, cloud, 1, random.Random(1)) as lost:
        stack.up()
        checkpoints = followed(stack, monkeypatch)

    assert lost
    assert checkpoints[-1].name == "animal.safetensors"
    [contract] = cloud.contracts("kept/")
    ledger = ledger_of(stack)
    assert ledger
    assert {part.machine for part in ledger.parts} == {contract["id"]}


def test_watching_again_goes_on_after_a_trainer_that_was_killed(
    make_stack: MakeStack, dataset: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "override__dataset__path": dataset,
        "override__dataset__repeats": 200,
        "override__training__epochs": 3,
        "override__training__save_state": "true",
    }
    stack = make_stack("killed", job="configs/sdxl-lora.yaml", **config)
    stack.up()
    with connect(stack.login()) as shell:
        shell.run("killing the trainer", "pkill -9 -f sdxl_train_network")
    with pytest.raises(TrainingFailed, match="137"):
        followed(stack, monkeypatch)
    checkpoints = followed(stack, monkeypatch)

    ledger = ledger_of(stack)
    assert ledger
    assert [part.ended for part in ledger.parts] == ["failed", "done"]
    assert checkpoints[-1].name == "animal.safetensors"
    assert len(cloud.contracts("killed/")) == 1


@pytest.mark.parametrize(
    ("job", "name", "losses", "repeats", "seed"),
    [("sdxl-lora", "animal", 3, 450, 1), ("sdxl-finetune", "world", 1, 250, 2)],
)
def test_a_run_survives_the_loss_of_its_machines(
    make_stack: MakeStack,
    dataset: Path,
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    job: str,
    name: str,
    losses: int,
    repeats: int,
    seed: int,
) -> None:
    config = {
        "override__dataset__path": dataset,
        "override__dataset__repeats": repeats,
        "override__node__bid": 1.5,
        "override__training__epochs": EPOCHS,
        "override__training__save_every_epochs": SAVE_EVERY,
        "override__training__batch_size": 4,
    }
    stack = make_stack(f"lost{seed}", job=f"configs/{job}.yaml", **config)
    with losing(stack, cloud, losses, random.Random(seed)) as lost:
        stack.up()
        checkpoints = followed(stack, monkeypatch)

    ledger = ledger_of(stack)
    assert ledger
    assert [part.ended for part in ledger.parts] == ["preempted"] * losses + ["done"], lost
    assert len({part.machine for part in ledger.parts}) == losses + 1
    assert all(part.state or not part.done for part in ledger.parts)
    names = [path.name for path in checkpoints]
    assert names == [*(f"{name}-{epoch:06}.safetensors" for epoch in (2, 4, 6, 8)), f"{name}.safetensors"]
    record = store.read(checkpoints[0].parent)
    assert record
    assert [checkpoint.wrong for checkpoint in record.checkpoints] == [()] * len(names)

    planned = EPOCHS * ledger.steps_per_epoch
    steps = steps_done(ledger)
    assert steps.left == 0
    assert planned <= steps.trained <= planned + losses * SAVE_EVERY * ledger.steps_per_epoch, lost
    assert len(cloud.billing(f"{stack.name}/")) == 1
    stack.destroy()
    assert cloud.billing(f"{stack.name}/") == []
