"""The training stack as a whole: outputs, an empty second preview, secrets, and the training itself."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
from engine_runs import Cloud, MakeStack, Stack, descendants

from components.record import store
from components.remote.shell import connect
from toolchain.bootstrap import ROOT

Until = Callable[[Callable[[], str]], str]


@contextmanager
def arguments_seen() -> Iterator[set[bytes]]:
    """Collect the arguments of every process on this computer while the block runs."""
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(path.read_bytes())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack, dataset: Path) -> Iterator[Stack]:
    """A stack that trains, and beside its project all that its `up` has shown.

    Its name is like no other, since ./fragua keeps its SSH files in the checkout.
    """
    config = {
        "override__dataset__path": dataset,
        "override__training__epochs": 2,
        "override__training__warmup_steps": 0,
        "override__dataset__repeats": 2,
        "override__base_model__token": "artist",
        "override__bucket__remote": "store",
        "override__bucket__path": "/tmp/bucket",  # the machine's
    }
    stack = make_stack(f"train{os.getpid()}", job="configs/sdxl-lora.yaml", **config)
    stack.environment["PULUMI_DEBUG_COMMANDS"] = "true"  # else there is no --event-log
    stack.environment["ARTIST_TOKEN"] = "hf_canary-token"
    stack.environment["RCLONE_CONFIG_STORE_TYPE"] = "local"
    stack.environment["RCLONE_CONFIG_STORE_KEY"] = "canary-bucket"
    shown = stack.folder / "shown"
    shown.mkdir()
    with arguments_seen() as arguments:
        output = stack.up("--event-log", str(shown / "events"), "-v=3", "--logtostderr")
    (shown / "output").write_text(output)
    (shown / "arguments").write_bytes(b"\n".join(arguments))
    (shown / "preview").write_text(stack.pulumi("preview", "--json", "--diff"))
    yield stack
    shutil.rmtree(ROOT / ".fragua/ssh" / stack.name, ignore_errors=True)


def test_the_outputs_say_what_runs_and_how_to_reach_it(stack: Stack, cloud: Cloud) -> None:
    outputs = stack.outputs()

    assert cloud.billing(f"{stack.name}/") == [outputs["instance"]]
    assert outputs["gpu"].startswith("1x ")
    assert 0 < outputs["pricePerHour"] <= 3
    assert outputs["ssh"] == f"./fragua ssh {stack.name}"
    assert outputs["address"].startswith("root@127.0.0.1:")
    assert outputs["run"].startswith("animal-")
    assert outputs["checkpoints"] == f"{stack.folder.parent}/output/{stack.name}/{outputs['run']}/"
    assert f"./fragua tensorboard {stack.name}" in outputs["tensorboard"]
    assert outputs["steps"] == 8  # 4 pictures in 4 buckets, twice each, in batches of at most 4, for 2 epochs


def test_a_second_up_changes_nothing_and_spends_nothing(stack: Stack, cloud: Cloud) -> None:
    cloud.ask("POST", "price", multiply=0.3)
    stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    cloud.ask("POST", "price", multiply=1 / 0.3)

    assert len(cloud.contracts(f"{stack.name}/")) == 1


def test_secrets_are_nowhere_in_plain_text(stack: Stack, cloud: Cloud) -> None:
    places = [path for path in stack.folder.parent.rglob("*") if path.is_file()]
    held = {path: path.read_bytes() for path in places if "program" not in path.parts}

    def holding(word: str) -> list[str]:
        return [str(path.relative_to(stack.folder.parent)) for path in held if word.encode() in held[path]]

    assert "project/shown/arguments" in holding("pulumi-resource-pulumi-python")
    assert "project/shown/events" in holding("vast:SshKey")
    assert f"state/.pulumi/stacks/fragua/{stack.name}.json" in holding("ssh-ed25519")
    assert any("history" in path for path in holding("vast:SshKey"))
    canaries = ("canary-passphrase", "hf_canary-token", "canary-bucket")
    for secret in (cloud.api_key, private_part(stack), *canaries):
        assert holding(secret) == []


def test_the_machine_holds_no_secret_of_ours(stack: Stack, cloud: Cloud) -> None:
    script = r"""word=$(cat)
find /workspace /root /home /tmp /etc /run /var /opt /proc/[0-9]*/environ /proc/[0-9]*/cmdline \
    -type f -size -1024k -print0 2>/dev/null | xargs -0 grep -laFf <(printf %s "$word") 2>/dev/null || true"""
    with connect(stack.login()) as shell:

        def holding(word: str) -> list[str]:
            return shell.run("looking for a word", script, word).split()

        assert "/root/.ssh/authorized_keys" in holding("ssh-ed25519")
        for secret in (cloud.api_key, private_part(stack), "canary-passphrase"):
            assert holding(secret) == []


def private_part(stack: Stack) -> str:
    """A line of the SSH key that holds of its private half."""
    return stack.login().private_key.splitlines()[3]


def test_a_machine_whose_port_moved_is_found_again(stack: Stack, cloud: Cloud) -> None:
    before = stack.outputs()
    machine = int(stack.resource("vast:Instance")["outputs"]["machine_id"])
    cloud.ask("POST", f"machines/{machine}/fault", fault="changed_port")
    assert "port " in stack.pulumi("refresh", "--yes", "--skip-preview")
    output = stack.up()

    after = stack.outputs()
    assert "warning" not in output
    assert after["address"] != before["address"]
    assert (after["instance"], after["run"]) == (before["instance"], before["run"])
    assert fragua(stack, "ssh", stack.name, "nvidia-smi", "-L").startswith("GPU 0: ")
    assert stack.steps() == {"same": 8}


def fragua(stack: Stack, *arguments: str) -> str:
    """Run a command of `./fragua` on the stack, from the checkout."""
    command = [sys.executable, "-m", "cli", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ssh_opens_a_shell_with_the_stack_s_key(stack: Stack) -> None:
    shown = fragua(stack, "ssh", stack.name, "nvidia-smi -L; env; cat /workspace/.fragua/jobs/*/script")

    assert shown.startswith("GPU 0: ")
    assert stack.environment["VAST_API_KEY"] not in shown


def test_watching_again_and_again_brings_the_checkpoints_home(stack: Stack) -> None:
    first = fragua(stack, "watch", stack.name)
    again = fragua(stack, "watch", stack.name)
    home = ROOT / stack.outputs()["checkpoints"]

    assert "training ended: epoch 2/2, step 8/8" in first
    assert first.count("… checked") == 2
    assert "bucket: everything is in store:/tmp/bucket/animal-" in first
    assert "is complete in " in again
    assert "… checked" not in again
    assert sorted(path.name for path in home.iterdir()) == [
        "animal-000001.safetensors",
        "animal.safetensors",
        "ledger.json",
        "part-1",
        "run.html",
        "run.json",
    ]


def test_the_record_tells_what_calibration_needs(stack: Stack) -> None:
    fragua(stack, "watch", stack.name)
    record = store.read(ROOT / stack.outputs()["checkpoints"])
    said = fragua(stack, "calibrate")

    assert record
    assert [each.market for each in record.machines] == [stack.environment["VAST_URL"]]
    rented = stack.resource("vast:Instance")["outputs"]["interruptible"]
    assert [each.interruptible for each in record.machines] == [rented]
    assert record.cost.foreseen_hours
    assert record.parts[-1].seconds_per_step
    assert f"runs on {stack.environment['VAST_URL']}" in said


def test_tensorboard_answers_through_its_tunnel(stack: Stack, until: Until) -> None:
    port = str(free_port())
    command = [sys.executable, "-m", "cli", "tensorboard", stack.name, "--port", port]
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
    assert stack.steps() == {"same": 7, "replace": 1}
    stack.up()

    after = stack.outputs()
    assert after["instance"] == before["instance"]
    assert after["run"] != before["run"]
    assert len(cloud.contracts(f"{stack.name}/")) == 1


def test_another_picture_is_sent_and_trained_on(stack: Stack, dataset: Path) -> None:
    before = stack.outputs()["run"]
    (dataset / "scene04.txt").write_text("another caption\n")
    assert stack.steps() == {"same": 6, "update": 1, "replace": 1}
    assert "holds 8 files" in stack.up()

    assert stack.outputs()["run"] != before


def test_a_job_that_cannot_fit_fails_up_with_the_trainer_s_own_words(
    make_stack: MakeStack, dataset: Path, cloud: Cloud
) -> None:
    config = {
        "override__dataset__path": dataset,
        "override__training__epochs": 1,
        "override__extra__vae_batch_size": 64,  # which no estimate counts
    }
    stack = make_stack("oom", job="configs/sdxl-lora.yaml", **config)
    done = stack.try_("up", "--yes", "--skip-preview")

    assert done.code != 0
    assert "before its first step (exit code 1). The machine still bills" in done.output
    assert "CUDA out of memory" in done.output

    [instance] = cloud.billing("oom/")
    cloud.ask("POST", f"instances/{instance}/offline")
    begin = time.monotonic()
    stack.destroy()
    assert time.monotonic() - begin < 30, "nothing may dial a dead machine"
    assert cloud.billing("oom/") == []
