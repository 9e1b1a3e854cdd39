"""What the script for the gauges reads on a machine."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from image_machine import A100, RTX_4090

from components.remote.gauges import GpuGauge, gauges_script, parse_gauges

if TYPE_CHECKING:
    from image_machine import Machine


def read(machine: Machine) -> str:
    bash = shutil.which("bash") or "/bin/bash"
    done = machine.run(bash, "-c", gauges_script(), env={"WORKSPACE": str(machine.home)})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_each_gpu_and_the_rented_disk_are_read(machine: Machine) -> None:
    machine.with_gpus(A100, RTX_4090)
    found = parse_gauges(read(machine))

    assert found.gpus == (
        GpuGauge(0, 0, 1, 81920, 31, 36.0),
        GpuGauge(1, 0, 2, 24564, 32, 40.5),
    )
    assert found.disk_total == machine.facts["disk_gb"]
    assert found.disk_used > 10


def test_a_machine_without_gpus_still_tells_its_disk(machine: Machine) -> None:
    machine.with_gpus()
    found = parse_gauges(read(machine))

    assert found.gpus == ()
    assert found.disk_total == machine.facts["disk_gb"]
