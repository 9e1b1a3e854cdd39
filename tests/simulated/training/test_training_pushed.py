"""With a bucket nobody need be at home: what a machine saves is there when the machine is gone.

The bucket is rclone's own S3 server, on a machine of its own; rclone on the others and here is the real one.
"""

import os
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from exported import deployment
from rented import Cloud, request
from rented import Run as Acquiring
from trainings import ALL, FAST, LIMIT, PER_EPOCH, SLOW, Home, Node, assert_at_home, follow, silent

from cli import watch as watching
from cli.console import Voice
from components.errors import BucketFailed
from components.kohya import run as run_module
from components.kohya.ledger import next_part
from components.kohya.push import INSTALL, job_name, push
from components.kohya.running import begin, change_bucket
from components.kohya.training import prepare, stop
from components.record import store as records
from components.remote.job import Job, start_script
from components.remote.jobs import state
from components.remote.manifest import scan
from components.remote.store import environment_script
from components.remote.transfer import send
from components.vast import keys, renewal
from components.vast.lease import Lease
from components.vast.release import release
from toolchain.bootstrap import ROOT

MakeHome = Callable[..., Home]

BUCKET = {"remote": "store", "path": "checkpoints/mine"}
PORT = 9000


@dataclass
class Store:
    """A bucket, and what logs in to it."""

    secrets: dict[str, str]

    def rclone(self, *words: str) -> str:
        program = Path(sysconfig.get_path("scripts"), "rclone")
        command = [str(program), *words, "--config", ""]
        environment = os.environ | self.secrets
        return subprocess.run(command, env=environment, stdout=-1, text=True, check=True).stdout

    def lists(self, home: Home) -> list[str]:
        """The saves of a run that are whole there."""
        folder = f"store:{BUCKET['path']}/{home.launch.run}"
        found = self.rclone("lsf", "-R", "--files-only", folder).split()
        return sorted(name.removesuffix(".sha256") for name in found if name.endswith(".sha256"))

    def states(self, home: Home) -> list[str]:
        return [each for each in self.lists(home) if each.endswith("-state")]


@pytest.fixture(scope="module")
def server(cloud: Cloud, prepared: list[Node]) -> Iterator[Store]:
    """A machine that serves S3 to the world."""
    renting = Acquiring(cloud, request(ports=(PORT,)))
    keys.register(cloud.api(), renting.request.public_key)
    [machine] = renting.acquire()
    keys_of = "--auth-key access,secret-canary"
    serve = f"exec /opt/simulated/rclone serve s3 --addr 0.0.0.0:{PORT} {keys_of} --config '' s3"
    with Node(cloud, machine).shell() as shell:
        shell.run("making a bucket", "mkdir -p /workspace/s3/checkpoints")
        prepare(shell, [INSTALL], LIMIT, lambda _: None)
        shell.run("serving", start_script(Job("s3", serve)))
    deadline = time.monotonic() + LIMIT
    while not (opened := cloud.api().instances(id=machine.instance.id)[0].opened):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    settings = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": f"http://127.0.0.1:{opened[str(PORT)]}",
        "ACCESS_KEY_ID": "access",
        "SECRET_ACCESS_KEY": "secret-canary",
    }
    yield Store({f"RCLONE_CONFIG_STORE_{name}": value for name, value in settings.items()})
    release(cloud.api(), [], renting.request.owner)


@pytest.fixture
def store(server: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The bucket, empty, as this computer's environment configures it."""
    server.rclone("delete", "store:checkpoints")

    def often(*words: Any) -> Job:
        job = push(*words)
        return replace(job, script=job.script.replace("_POLL = 5.0", "_POLL = 0.3"))

    monkeypatch.setattr(run_module, "push", often)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    for name, value in server.secrets.items():
        monkeypatch.setenv(name, value)
    return server


def log_in(node: Node, secrets: dict[str, str]) -> None:
    """Leave on a machine what its pushing takes, as the stack's step does."""
    with node.shell() as shell:
        shell.run("leaving secrets", environment_script(INSTALL.name, secrets))


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LIMIT
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)
    return found


@dataclass
class Stack:
    """The stack of one machine that trains, as its state has it; it rents nothing."""

    deployment: dict[str, Any]
    home: Home
    name: str = "test"
    said: list[str] = field(default_factory=list)

    def export_stack(self) -> Any:
        return SimpleNamespace(deployment=self.deployment)

    def outputs(self) -> dict[str, Any]:
        machine = next(each["outputs"] for each in self.deployment["resources"] if each.get("id"))
        found = {
            "instance": machine["instance_id"],
            "gpu": f"1x {machine['gpu']}",
            "pricePerHour": machine["price"],
            "checkpoints": f"{self.home.folder}/",
        }
        return {name: SimpleNamespace(value=value) for name, value in found.items()}

    def up(self, **_: Any) -> None:
        raise AssertionError("it would rent another machine")


def test_with_nobody_at_home_all_is_pushed_and_the_machine_destroys_itself(
    cloud: Cloud,
    store: Store,
    make_home: MakeHome,
    dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = make_home(bucket=BUCKET)
    renting = Acquiring(cloud, request(disk=60))
    renting.request = renting.request.model_copy(update={"lease": Lease(lease=36000, idle=0)})
    keys.register(cloud.api(), renting.request.public_key)
    [machine] = renting.acquire()
    node = Node(cloud, machine)
    log_in(node, store.secrets)
    with node.shell() as shell:
        send(shell, dataset, scan(dataset), "dataset", lambda *_: None)
    begin(home.props(node))
    with node.shell() as shell:
        until(lambda: state(shell, job_name(home.launch.run)).state == "done")
        secret = "cat /proc/[0-9]*/cmdline .fragua/jobs/*/log .fragua/jobs/*/script | tr '\\0' ' '"
        assert "secret-canary" not in shell.run("looking", f"cd /workspace; {secret}")
    assert home.shown == []
    renewal.renew(node.login, Lease(lease=36000, idle=2).limits())
    until(lambda: cloud.made(renting.request.owner)[0]["status"] == "destroyed")

    monkeypatch.setattr(watching, "_PATIENCE", 0.1)
    stack = Stack(deployment(renting, machine), home)
    trains = {"type": "pulumi-python:dynamic/kohya:TrainingRun"}
    stack.deployment["resources"].append({**trains, "outputs": {"launch": home.launch.model_dump_json()}})
    checkpoints = watching.watch(stack, ROOT, Voice())  # type: ignore[arg-type] - of the stack's states alone

    assert [path.name for path in checkpoints] == home.shown == ALL
    assert home.ends == ["done"]
    assert_at_home(home)
    record = records.read(home.folder)
    assert record
    assert (record.status, len(record.checkpoints)) == ("done", len(ALL))
    assert record.loss
    assert f"{ALL[-1]} from the bucket" in capsys.readouterr().out


def test_another_machine_goes_on_from_what_the_lost_one_pushed(
    nodes: list[Node], store: Store, make_home: MakeHome
) -> None:
    """A state without its list was pushed by half, and what is not as it was pushed does not count either."""
    lost, other = nodes
    for node in nodes:
        log_in(node, store.secrets)
    home, elsewhere = make_home(bucket=BUCKET), make_home("elsewhere", bucket=BUCKET)
    lost.facts(scale=SLOW / 3)
    begin(home.props(lost))
    until(lambda: store.states(home))
    with lost.shell() as shell:
        stop(shell, f"*{home.launch.run}*")
    assert home.shown == []
    folder, [*_, newest] = f"store:{BUCKET['path']}/{home.launch.run}", store.states(home)
    for path in store.states(home):
        store.rclone("moveto", f"{folder}/{path}.sha256", f"{folder}/{path}.away")
    run = elsewhere.open()
    run.take(silent)
    assert elsewhere.shown
    assert elsewhere.states == []
    assert next_part(run.ledger).done == 0
    store.rclone("moveto", f"{folder}/{newest}.away", f"{folder}/{newest}.sha256")

    other.facts(scale=FAST)
    begin(home.props(other))
    assert home.ends == ["preempted", ""]
    second = home.ledger.parts[1]
    assert second.state == newest
    assert f"goes on after epoch {second.done} of" in "\n".join(home.said)
    with other.shell() as shell:
        run = home.open(shell)
        follow(shell, run, run.follower())
        until(lambda: state(shell, job_name(home.launch.run)).state == "done")
    assert home.shown == ALL
    assert run.complete
    assert_at_home(home)

    last, whole = f"{folder}/part-2/{ALL[-1]}", home.folder / ALL[-1]
    store.rclone("copyto", str(whole.with_name(ALL[0])), last)
    run = elsewhere.open()
    run.take(silent)
    assert f"{ALL[-1]} is damaged in the bucket, and does not count" in elsewhere.said[-1]
    assert elsewhere.shown == ALL[:-1]
    store.rclone("copyto", str(whole), last)
    elsewhere.open().take(silent)
    assert elsewhere.shown == ALL
    assert_at_home(elsewhere)


def test_what_the_bucket_refuses_stops_no_training(
    node: Node, store: Store, make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {**store.secrets, "RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY": "wrong"}
    log_in(node, refused)
    home = make_home(bucket=BUCKET)
    begin(home.props(node))
    assert "SignatureDoesNotMatch" in home.said[-1]
    assert home.said[-1].startswith("bucket: refused, trying again: ")
    with node.shell() as shell:
        run = home.open(shell)
        assert follow(shell, run, run.follower()).state == "done"
        assert state(shell, job_name(home.launch.run)).state == "running"
    assert home.shown == ALL
    assert store.lists(home) == []

    log_in(node, store.secrets)
    elsewhere = make_home(bucket={**BUCKET, "path": "checkpoints/elsewhere"})
    change_bucket(elsewhere.props(node))
    last = f"store:checkpoints/elsewhere/{home.launch.run}/part-1/{ALL[-1]}.sha256"
    until(lambda: ALL[-1] in store.rclone("cat", last))

    change_bucket(make_home().props(node))
    with node.shell() as shell:
        assert state(shell, job_name(home.launch.run)).state == "lost", "or it would count as pushed"


def test_a_run_whose_bucket_cannot_be_read_is_not_trained_again_on_another_machine(
    nodes: list[Node], store: Store, make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(bucket=BUCKET)
    nodes[0].facts(scale=SLOW)
    for node in nodes:
        log_in(node, store.secrets)
    begin(home.props(nodes[0]))
    monkeypatch.setenv("RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(BucketFailed, match=r"bucket: store:checkpoints/mine/.* cannot be read: .*403"):
        begin(home.props(nodes[1]))
    with nodes[1].shell() as shell:
        assert nodes[1].trainers(shell) == []
    assert next_part(home.ledger).done == 0
    assert home.ledger.parts[0].steps < 2 * PER_EPOCH
