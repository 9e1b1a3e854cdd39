"""Machines that train at the speed that a test wants, and the runs on them as a computer sees them."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rented import Cloud

from components.dataset.declared import declared
from components.errors import CommandFailed
from components.kohya.books import LEDGER
from components.kohya.derive import derive
from components.kohya.ledger import Ledger, read
from components.kohya.plan import Plan, plan
from components.kohya.run import Run
from components.kohya.training import Follower, stop
from components.record.checkpoint import read_metadata
from components.remote.job import JobStatus
from components.remote.manifest import scan, sha256
from components.remote.shell import Login, Shell, connect
from components.spec.train import TrainJob
from components.vast.lifecycle import Machine
from components.vast.status import Status, status

EPOCHS, PER_EPOCH = 5, 12
LIMIT = 60.0

FAST, SLOW = 1000, 25
"""Virtual seconds in one second."""

EDIT = """import json, sys
facts = json.load(open("/etc/simulated.json"))
facts |= json.loads(sys.argv[1])
for gpu in facts["gpus"]:
    gpu["memory_mib"] = facts.get("memory_mib") or 24564
json.dump(facts, open("/etc/simulated.json", "w"))
"""


@dataclass(frozen=True)
class Job:
    """A job and its plan."""

    plan: Plan


def job(dataset: Path, **changes: Any) -> Job:
    """A LoRA of five epochs of twelve steps, whose states are saved; some of its parts may be changed."""
    training = {
        "epochs": EPOCHS,
        "batch_size": 2,
        "learning_rate": 1e-4,
        "save_every_epochs": 1,
        "save_state": True,
    }
    values = {
        "kind": "train",
        "name": "cat",
        "node": {"gpu": {"models": ["RTX 4090"]}, "image": "vastai/pytorch", "disk": 60, "max_price": 2},
        "base_model": {
            "huggingface": "stabilityai/stable-diffusion-xl-base-1.0",
            "file": "sd_xl_base_1.0.safetensors",
        },
        "dataset": {"path": str(dataset), "repeats": 5},
        "lora": changes.get("lora", {}),  # None: a full fine-tune
        "training": training | changes.get("training", {}),
        "bucket": changes.get("bucket"),
    }
    made = TrainJob.model_validate(values)
    settings = derive(made, declared(made))
    return Job(plan(made, settings, scan(dataset).digest))


class Node:
    """One rented machine."""

    def __init__(self, cloud: Cloud, machine: Machine) -> None:
        self.cloud, self.id, self.login = cloud, machine.instance.id, machine.login
        self.machine = machine

    @contextmanager
    def shell(self) -> Iterator[Shell]:
        with connect(self.login) as opened:
            yield opened

    def facts(self, **changes: Any) -> None:
        """Change what the next program on it believes: `scale`, `faults`, `memory_mib`."""
        with self.shell() as shell:
            shell.run("changing facts", f"python3 -c '{EDIT}' '{json.dumps(changes)}'")

    def clear(self) -> None:
        with self.shell() as shell:
            for jobs in ("train-*", "push-*"):
                stop(shell, jobs)
                shell.run("clearing", f"rm -rf /workspace/.fragua/jobs/{jobs}")
            shell.run("clearing", "cd /workspace; rm -rf runs; ls dataset > /dev/null")
        self.facts(scale=FAST, faults=[], memory_mib=None)

    def restart(self) -> None:
        """End the container with all that runs in it, and start it again; it gets other ports."""
        api = self.cloud.api()
        self.cloud.ask("POST", f"instances/{self.id}/exit")
        api.start(self.id)
        deadline = time.monotonic() + LIMIT
        while True:
            found = api.instance(self.id)
            assert found
            assert time.monotonic() < deadline
            if status(found) is Status.RUNNING and found.proxy:
                break
            time.sleep(0.05)
        self.login = Login(*found.proxy, self.login.private_key, self.login.host_key)

    def trainers(self, shell: Shell) -> list[str]:
        """Return the command lines of the trainers that run there."""
        return shell.run("listing", "pgrep -af '[s]dxl_train' | grep -v accelerate; true").splitlines()


class Home:
    """A run's place on one computer."""

    def __init__(self, steps: Plan, folder: Path, said: list[str]) -> None:
        self.plan, self.launch, self.folder, self.said = steps, steps.launch, folder, said

    def open(self, shell: Shell | None = None) -> Run:
        return Run(self.launch, self.folder, shell)

    @property
    def ledger(self) -> Ledger:
        found = read(self.folder / LEDGER)
        assert found
        return found

    @property
    def ends(self) -> list[str]:
        return [part.ended for part in self.ledger.parts]

    @property
    def shown(self) -> list[str]:
        """The names of the checkpoints that a person sees; each of them is whole."""
        found = sorted(self.folder.glob("*.safetensors"))
        for path in found:
            read_metadata(path)
        return [path.name for path in found]

    @property
    def states(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob("part-*/*-state"))

    def props(self, node: Node) -> dict[str, Any]:
        """What the resource gives to `begin` and `end`."""
        login = node.login
        return {
            "launch": self.launch.model_dump_json(),
            "login": {
                "host": login.host,
                "port": float(login.port),
                "private_key": login.private_key,
                "host_key": login.host_key,
            },
            "preparations": {each.name: each.script for each in self.plan.preparations},
            "home": str(self.folder),
            "machine": float(node.id),
            "limit": LIMIT,
            "run": self.launch.run,
            "price": 0.4,
        }


ALL = [*(f"cat-{epoch:06}.safetensors" for epoch in range(1, EPOCHS)), "cat.safetensors"]


def silent(_name: str, _done: int, _total: int, _rate: float) -> None:
    """Tell nothing."""


def follow(
    shell: Shell, run: Run, follower: Follower, until: Callable[[], bool] = lambda: False
) -> JobStatus:
    """Carry home what comes, as `watch` does, until the training ends or `until` says so."""

    def carry() -> bool:
        with suppress(CommandFailed):  # the trainer has removed an old state meanwhile; `watch` tries again
            run.carry(shell, follower, silent)
        return until()

    return watched(shell, follower, carry)


def watched(shell: Shell, follower: Follower, until: Callable[[], bool]) -> JobStatus:
    """Read the log until the training ends or `until` says so."""
    deadline = time.monotonic() + LIMIT
    while True:
        found = follower.look(shell)
        if until() or found.state != "running":
            return found
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_at_home(home: Home) -> None:
    """Every file that the ledger calls at home is there, and what it was on the machine."""
    for part in home.ledger.parts:
        for saved in part.saved:
            for path, digest in saved.files.items():
                assert sha256(home.folder / part.folder / path) == digest
