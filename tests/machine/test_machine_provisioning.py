"""The install job on whole machines: with Vast.ai's Kohya image, with a plain one, with the wrong one."""

from __future__ import annotations

import pytest
from rented_machine import Rented, Yard, poll

from components.kohya.install import SD_SCRIPTS_COMMIT, Trainer, trainer
from components.remote.job import JobStatus, log_script, parse_status, start_script, status_script
from simulator.clock import Clock

TRAINER = trainer("kohya-template", ["xformers", "wandb"])


def start(machine: Rented, wanted: Trainer) -> None:
    machine.output("bash", stdin=start_script(wanted.install).encode())


def ended(machine: Rented) -> JobStatus:
    def look() -> JobStatus | None:
        status = parse_status(machine.output("bash", stdin=status_script(["install"]).encode()))["install"]
        return status if status.state != "running" else None

    return poll(look, 60)


def installed(machine: Rented, wanted: Trainer = TRAINER) -> JobStatus:
    start(machine, wanted)
    return ended(machine)


def log(machine: Rented) -> str:
    return machine.output("bash", stdin=log_script("install", 0).encode())


@pytest.fixture
def machine(yard: Yard) -> Rented:
    return yard.rent(image="vastai/kohya:v25", clock=Clock(400))


def test_an_image_that_provisions_itself_is_waited_for(machine: Rented) -> None:
    machine.output("touch /.provisioning")
    start(machine, TRAINER)
    poll(lambda: log(machine) == "waiting for the image to provision itself\n")

    machine.output("rm /.provisioning")

    poll(lambda: "kohya: stopped\n" in log(machine))


def test_the_entrypoint_provisions(yard: Yard) -> None:
    machine = yard.rent(image="vastai/kohya:v25", onstart="entrypoint.sh", clock=Clock(20))
    mark = machine.root / "rootfs/.provisioning"

    poll(mark.exists)
    poll(lambda: not mark.exists())


def test_the_images_environment_gets_what_our_commit_needs(machine: Rented) -> None:
    before = machine.output("/venv/main/bin/accelerate --version; ls /venv/main/bin").split()
    assert "tensorboard" not in before

    status = installed(machine)

    assert (status.state, status.tail) == ("done", "installed: torch 2.7.1+cu128 computes on 2 GPU"), log(
        machine
    )
    lines = log(machine).splitlines()
    assert {"kohya: stopped", "torch: the image's, 2.7.1+cu128"} <= set(lines)
    versions = dict(line.split("==") for line in machine.output("uv pip freeze --python /venv/main").split())
    assert (versions["torch"], versions["accelerate"]) == ("2.7.1+cu128", "1.6.0")
    assert (versions["xformers"], versions["wandb"]) == ("0.0.31.post1", "0.23.1")
    assert machine.output(f"cd /workspace && {TRAINER.tensorboard} --version") == "2.21.0\n"
    assert machine.output(f"git -C /workspace/{TRAINER.scripts} rev-parse HEAD") == f"{SD_SCRIPTS_COMMIT}\n"
    machine.output(f"test -e /workspace/{TRAINER.tokenizers}/openai_clip-vit-large-patch14/vocab.json")
    assert "STOPPED" in machine.ssh("supervisorctl status kohya").stdout.decode()

    machine.output("rm -r /workspace/.fragua/jobs")
    assert installed(machine).state == "done"
    assert "there already" in log(machine)
    assert "kohya: ERROR (not running)" in log(machine)


def test_another_image_is_told_from_it(yard: Yard) -> None:
    machine = yard.rent(image="pytorch/pytorch:2.6.0-cuda12.4-cudnn9-devel")

    status = installed(machine)

    assert (status.state, status.exit_code) == ("failed", 1)
    assert status.tail.startswith("/venv/main is missing: node.image is not Vast.ai's Kohya image")


def test_a_plain_image_gets_everything_even_uv(yard: Yard) -> None:
    machine = yard.rent(image="pytorch/pytorch:2.6.0-cuda12.4-cudnn9-devel", clock=Clock(400))
    assert machine.ssh("command -v uv").returncode == 1
    own = trainer("own")

    status = installed(machine, own)

    assert (status.state, status.tail) == ("done", "installed: torch 2.6.0+cu124 computes on 2 GPU"), log(
        machine
    )
    assert machine.output(f"/workspace/{own.tensorboard} --version") == "2.21.0\n"
