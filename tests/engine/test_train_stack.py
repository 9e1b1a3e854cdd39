"""The training stack as a whole: outputs, an empty second preview, secrets, and the training itself."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from engine_runs import Cloud, MakeStack, Stack, descendants

from toolchain.bootstrap import ROOT

Until = Callable[[Callable[[], str]], str]


class Arguments(threading.Thread):
    """Collects the arguments of every process while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue


@pytest.fixture(scope="module")
def arguments() -> Iterator[Arguments]:
    found = Arguments()
    found.start()
    yield found
    found.over.set()


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack, dataset: Path, arguments: Arguments) -> Stack:
    config = {
        "override__dataset__path": dataset,
        "override__training__epochs": 2,
        "override__dataset__repeats": 2,
    }
    stack = make_stack("train", job="configs/sdxl-lora.yaml", **config)
    (stack.folder / "up.log").write_text(stack.up())
    (stack.folder / "events.log").write_text(stack.pulumi("preview", "--json", "--diff"))
    return stack


def test_the_outputs_say_what_runs_and_how_to_reach_it(stack: Stack, cloud: Cloud) -> None:
    outputs = stack.outputs()

    assert cloud.billing("train/node") == [outputs["instance"]]
    assert outputs["gpu"].startswith("1x ")
    assert 0 < outputs["pricePerHour"] <= 3
    assert outputs["ssh"] == "./fragua ssh train"
    assert outputs["address"].startswith("root@127.0.0.1:")
    assert outputs["run"].startswith("animal-")
    assert outputs["checkpoints"] == f"output/{outputs['run']}/"
    assert "./fragua tensorboard train" in outputs["tensorboard"]
    assert outputs["steps"] == 8  # 4 pictures in 4 buckets, twice each, in batches of at most 4, for 2 epochs


def test_a_second_up_changes_nothing_and_spends_nothing(stack: Stack, cloud: Cloud) -> None:
    cloud.ask("POST", "price", multiply=0.3)
    stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    cloud.ask("POST", "price", multiply=1 / 0.3)

    assert len(cloud.contracts("train/node")) == 1


def test_a_plain_output_hides_the_login(stack: Stack) -> None:
    shown = json.loads(stack.pulumi("stack", "output", "--json"))

    assert shown["login"] == "[secret]"


def test_secrets_are_nowhere_in_plain_text(stack: Stack, cloud: Cloud, arguments: Arguments) -> None:
    private = stack.outputs()["login"]["private_key"].splitlines()[2]
    places = [
        path for path in stack.folder.parent.rglob("*") if path.is_file() and "program" not in path.parts
    ]
    assert any("state" in path.parts for path in places)
    for secret in (cloud.api_key, private, "canary-passphrase"):
        word = secret.encode()
        assert [path for path in places if word in path.read_bytes()] == []
        assert [line for line in arguments.seen if word in line] == []


def fragua(stack: Stack, *arguments: str) -> str:
    """Run a command of `./fragua` on the stack, from the checkout."""
    command = [sys.executable, "-m", "cli", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ssh_opens_a_shell_with_the_stack_s_key(stack: Stack) -> None:
    shown = fragua(stack, "ssh", "train", "nvidia-smi -L; env; cat /workspace/.fragua/jobs/*/script")

    assert shown.startswith("GPU 0: ")
    assert stack.environment["VAST_API_KEY"] not in shown


def test_watching_again_and_again_brings_the_checkpoints_home(stack: Stack) -> None:
    first = fragua(stack, "watch", "train")
    again = fragua(stack, "watch", "train")
    home = ROOT / stack.outputs()["checkpoints"]

    assert "training ended: epoch 2/2, step 8/8" in first
    for output in (first, again):
        assert output.count("brought home") == 2
    assert sorted(path.name for path in home.iterdir()) == ["animal-000001.safetensors", "animal.safetensors"]
    shutil.rmtree(home)


def test_tensorboard_answers_through_its_tunnel(stack: Stack, until: Until) -> None:
    port = str(free_port())
    command = [sys.executable, "-m", "cli", "tensorboard", "train", "--port", port]
    running = subprocess.Popen(command, cwd=ROOT, env=stack.environment, stdin=subprocess.DEVNULL)

    def page() -> str:
        try:
            return requests.get(f"http://127.0.0.1:{port}/", timeout=5).text
        except requests.RequestException:
            return ""

    try:
        assert "TensorBoard" in until(page)
    finally:
        for pid in [*descendants(running.pid), running.pid]:
            os.kill(pid, signal.SIGTERM)
        running.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_another_setting_trains_again_on_the_same_machine(stack: Stack, cloud: Cloud) -> None:
    before = stack.outputs()
    stack.configure(override__training__learning_rate=2e-4)
    assert stack.steps() == {"same": 6, "replace": 1}
    stack.up()

    after = stack.outputs()
    assert after["instance"] == before["instance"]
    assert after["run"] != before["run"]
    assert len(cloud.contracts("train/node")) == 1


def test_another_picture_is_sent_and_trained_on(stack: Stack, dataset: Path, cloud: Cloud) -> None:
    before = stack.outputs()["run"]
    (dataset / "scene04.txt").write_text("another caption\n")
    assert stack.steps() == {"same": 5, "update": 1, "replace": 1}
    assert "holds 8 files" in stack.up()

    assert stack.outputs()["run"] != before
    stack.destroy()
    assert cloud.billing("train/node") == []


def test_a_job_that_cannot_fit_fails_up_with_the_trainer_s_own_words(
    make_stack: MakeStack, dataset: Path, cloud: Cloud
) -> None:
    config = {
        "override__dataset__path": dataset,
        "override__dataset__repeats": 40,
        "override__training__epochs": 1,
        "override__training__batch_size": 40,
        "override__training__gradient_checkpointing": "false",
    }
    stack = make_stack("oom", job="configs/sdxl-lora.yaml", **config)
    done = stack.try_("up", "--yes", "--skip-preview")

    assert done.code != 0
    assert "before its first step (exit code 1). The machine still bills" in done.output
    assert "CUDA out of memory" in done.output
    stack.destroy()
    assert cloud.billing("oom/") == []
