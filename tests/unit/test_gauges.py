"""The gauges of a machine: what nvidia-smi, df and the kernel print, and what is made of it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.remote.gauges import Gauges, GpuGauge, gauges_script, parse_gauges

if TYPE_CHECKING:
    from pathlib import Path

PRINTED = """\
gpu 0, 98, 18432, 24564, 71, 412.37
gpu 1, [N/A], 512, 81920, 44, [Not Supported]
disk 41000000000 59000000000
MemTotal:       65536000 kB
MemAvailable:   43008000 kB
load 6.21 5.90 4.02 9/812 30725
"""
UNTOLD = st.sampled_from(
    ["[N/A]", "[Not Supported]", "[Unknown Error]", "[GPU is lost]", "ERR!", "", "nan", "-1"]
)
READING = st.one_of(st.integers(0, 10**6).map(float), st.decimals(0, 999, places=2).map(float), st.none())
GPU = st.builds(GpuGauge, st.integers(0, 15), *[READING] * 5)


def test_a_machine_that_tells_everything_but_what_a_driver_does_not() -> None:
    assert parse_gauges(PRINTED) == Gauges(
        (
            GpuGauge(0, 98, 18432, 24564, 71, 412.37),
            GpuGauge(1, None, 512, 81920, 44, None),
        ),
        disk_used=41,
        disk_total=100,
        ram_used=pytest.approx(23.068672),
        ram_total=pytest.approx(67.108864),
        load=6.21,
    )


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "gpu NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
        "gpu No devices were found\n",
        "gpu Unable to determine the device handle for GPU0000:02:00.0: Unknown Error\n",
        'gpu Field "power.draw" is not a valid field to query.\n',
        "gpu 0, 98, 18432\n",
        "disk 1000\nMemTotal: 100 kB\nload\n",
    ],
)
def test_an_answer_that_makes_no_sense_is_none(answer: str) -> None:
    assert parse_gauges(answer) == Gauges()


@given(st.lists(GPU, max_size=16), st.data())
def test_every_reading_comes_back_and_what_is_not_told_is_none(
    gpus: list[GpuGauge], data: st.DataObject
) -> None:
    def told(reading: float | None) -> str:
        return data.draw(UNTOLD) if reading is None else f"{reading:.2f}".removesuffix(".00")

    lines = (
        f"gpu {gpu.index}, {told(gpu.utilization)}, {told(gpu.used)}, {told(gpu.total)}, "
        f"{told(gpu.temperature)}, {told(gpu.power)}\n"
        for gpu in gpus
    )
    assert parse_gauges("".join(lines)).gpus == tuple(gpus)


@given(st.text() | st.text("gpudisklocamMTtelAvb:, .0123456789kB\n", max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    found = parse_gauges(text)
    assert 0 <= found.disk_used <= found.disk_total
    assert 0 <= found.ram_used <= found.ram_total


@pytest.mark.parametrize(
    ("driver", "gpus"),
    [
        ("echo '0, 98, 18432, 24564, 71, 412.37'; echo '1, 97, 512, 24564, 70, [N/A]'", 2),
        ('echo "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver."; exit 9', 0),
        ("trap '' TERM; while true; do sleep 0.2; done", 0),
    ],
    ids=["works", "broken", "hangs"],
)
def test_the_script_succeeds_whatever_the_driver_does(tmp_path: Path, driver: str, gpus: int) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/bash\necho $$ > {tmp_path}/pid\n{driver}\n")
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "WORKSPACE": str(tmp_path)}
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", gauges_script()],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    finally:
        subprocess.run(
            ["bash", "-c", f"kill -KILL $(cat {tmp_path}/pid)"], stderr=subprocess.DEVNULL, check=False
        )
    found = parse_gauges(done.stdout)
    assert done.stderr == ""
    assert len(found.gpus) == gpus
    assert found.disk_total > found.disk_used > 0
    assert found.ram_total > found.ram_used > 0
    assert found.load is not None
