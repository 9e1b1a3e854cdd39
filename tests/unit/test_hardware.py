"""Whether a machine is what was advertised, by what real drivers call each GPU that Vast.ai lists."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_models import instance

from components.spec.gpus import VRAM
from components.vast.hardware import mismatch

SHOWN = {
    "A10": ["NVIDIA A10"],
    "A100 PCIE": ["NVIDIA A100-PCIE-40GB", "NVIDIA A100 80GB PCIe", "A100-PCIE-40GB"],
    "A100 SXM4": ["NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-80GB"],
    "A100X": ["NVIDIA A100X"],
    "A16": ["NVIDIA A16"],
    "A30": ["NVIDIA A30"],
    "A40": ["NVIDIA A40"],
    "B200": ["NVIDIA B200"],
    "GH200 SXM": ["NVIDIA GH200 480GB"],
    "GTX 1080 Ti": ["NVIDIA GeForce GTX 1080 Ti", "GeForce GTX 1080 Ti"],
    "H100 NVL": ["NVIDIA H100 NVL"],
    "H100 PCIE": ["NVIDIA H100 PCIe"],
    "H100 SXM": ["NVIDIA H100 80GB HBM3"],
    "H200": ["NVIDIA H200"],
    "H200 NVL": ["NVIDIA H200 NVL"],
    "L4": ["NVIDIA L4"],
    "L40": ["NVIDIA L40"],
    "L40S": ["NVIDIA L40S"],
    "Q RTX 6000": ["Quadro RTX 6000"],
    "Q RTX 8000": ["Quadro RTX 8000"],
    "RTX 2080 Ti": ["NVIDIA GeForce RTX 2080 Ti", "GeForce RTX 2080 Ti"],
    "RTX 3060": ["NVIDIA GeForce RTX 3060"],
    "RTX 3060 Ti": ["NVIDIA GeForce RTX 3060 Ti"],
    "RTX 3070": ["NVIDIA GeForce RTX 3070"],
    "RTX 3070 Ti": ["NVIDIA GeForce RTX 3070 Ti"],
    "RTX 3080": ["NVIDIA GeForce RTX 3080"],
    "RTX 3080 Ti": ["NVIDIA GeForce RTX 3080 Ti"],
    "RTX 3090": ["NVIDIA GeForce RTX 3090"],
    "RTX 3090 Ti": ["NVIDIA GeForce RTX 3090 Ti"],
    "RTX 4000Ada": ["NVIDIA RTX 4000 Ada Generation", "NVIDIA RTX 4000 SFF Ada Generation"],
    "RTX 4060": ["NVIDIA GeForce RTX 4060"],
    "RTX 4060 Ti": ["NVIDIA GeForce RTX 4060 Ti"],
    "RTX 4070": ["NVIDIA GeForce RTX 4070"],
    "RTX 4070 Ti": ["NVIDIA GeForce RTX 4070 Ti"],
    "RTX 4070S": ["NVIDIA GeForce RTX 4070 SUPER"],
    "RTX 4070S Ti": ["NVIDIA GeForce RTX 4070 Ti SUPER"],
    "RTX 4080": ["NVIDIA GeForce RTX 4080"],
    "RTX 4080S": ["NVIDIA GeForce RTX 4080 SUPER"],
    "RTX 4090": ["NVIDIA GeForce RTX 4090"],
    "RTX 4090D": ["NVIDIA GeForce RTX 4090 D"],
    "RTX 4500Ada": ["NVIDIA RTX 4500 Ada Generation"],
    "RTX 5000Ada": ["NVIDIA RTX 5000 Ada Generation"],
    "RTX 5060": ["NVIDIA GeForce RTX 5060"],
    "RTX 5060 Ti": ["NVIDIA GeForce RTX 5060 Ti"],
    "RTX 5070": ["NVIDIA GeForce RTX 5070"],
    "RTX 5070 Ti": ["NVIDIA GeForce RTX 5070 Ti"],
    "RTX 5080": ["NVIDIA GeForce RTX 5080"],
    "RTX 5090": ["NVIDIA GeForce RTX 5090"],
    "RTX 6000Ada": ["NVIDIA RTX 6000 Ada Generation"],
    "RTX A4000": ["NVIDIA RTX A4000"],
    "RTX A4500": ["NVIDIA RTX A4500"],
    "RTX A5000": ["NVIDIA RTX A5000"],
    "RTX A6000": ["NVIDIA RTX A6000", "RTX A6000"],
    "RTX PRO 6000 S": ["NVIDIA RTX PRO 6000 Blackwell Server Edition"],
    "RTX PRO 6000 WS": ["NVIDIA RTX PRO 6000 Blackwell Workstation Edition"],
    "Tesla P40": ["Tesla P40"],
    "Tesla T4": ["Tesla T4"],
    "Tesla V100": ["Tesla V100-SXM2-16GB", "Tesla V100-PCIE-32GB", "Tesla V100-SXM2-32GB"],
}
"""Vast.ai's name: what nvidia-smi prints for it, by driver and form factor."""

ALIKE = [
    {"A100 PCIE", "A100 SXM4"},
    {"H100 PCIE", "H100 SXM"},
    {"H200", "H200 NVL"},
    {"RTX PRO 6000 S", "RTX PRO 6000 WS"},
    {"H100 PCIE", "H100 NVL"},
    {"H100 SXM", "H100 NVL"},
]
"""Form factors of one chip, which nvidia-smi does not always tell; the check of VRAM tells some of them."""

DISK = 60


def probe(*gpus: str, disk: str = "61") -> str:
    return "\n".join([*gpus, disk]) + "\n"


def test_every_gpu_that_a_job_may_name_is_in_the_table() -> None:
    assert SHOWN.keys() == VRAM.keys()


@pytest.mark.parametrize(("name", "shown"), [(name, shown) for name in SHOWN for shown in SHOWN[name]])
def test_a_gpu_is_known_by_what_its_driver_calls_it(name: str, shown: str) -> None:
    assert mismatch(instance(gpu_name=name), probe(f"{shown}, 24564, 570.124.04"), DISK) == ""


@pytest.mark.parametrize("name", SHOWN)
def test_a_gpu_is_told_from_every_other(name: str) -> None:
    taken_for = {
        other
        for other in SHOWN
        for shown in SHOWN[other]
        if not mismatch(instance(gpu_name=name), probe(f"{shown}, 99999, 570.124.04"), DISK)
    }

    assert all({name, other} in ALIKE for other in taken_for - {name})


@pytest.mark.parametrize(
    ("output", "wrong"),
    [
        (probe("NVIDIA GeForce RTX 3090, 24564, 570.124.04"), "RTX 4090, shows NVIDIA GeForce RTX 3090"),
        (
            probe("NVIDIA GeForce RTX 4090 Laptop GPU, 24564, 570.124.04"),
            "RTX 4090, shows NVIDIA GeForce RTX 4090 Laptop GPU",
        ),
        (probe("NVIDIA GeForce RTX 4090, 16376, 570.124.04"), "24564 MiB of VRAM, shows 16376"),
        (probe("NVIDIA GeForce RTX 4090, 24564, 535.86.05"), "driver 570.124.04, shows 535.86.05"),
        (probe("NVIDIA GeForce RTX 4090, 24564, 570.9.04"), "driver 570.124.04, shows 570.9.04"),
        (probe("NVIDIA GeForce RTX 4090, 24564, [N/A]"), "driver 570.124.04, shows [N/A]"),
        (probe(*["NVIDIA GeForce RTX 4090, 24564, 570.124.04"] * 2), "1 GPUs, shows 2"),
        (probe("NVIDIA GeForce RTX 4090, 24564, 570.124.04", disk="32"), "60 GB of disk, shows 32 GB"),
    ],
)
def test_what_differs_is_named(output: str, wrong: str) -> None:
    assert mismatch(instance(), output, DISK) == f"advertised {wrong}"


@pytest.mark.parametrize(
    "gpu",
    [
        "NVIDIA GeForce RTX 4090, 24564, 570.124.04",
        "NVIDIA GeForce RTX 4090, 23500, 570.124.04",
        "NVIDIA GeForce RTX 4090, 49140, 570.124.04",
        "NVIDIA GeForce RTX 4090, 24564, 580.65.06",
    ],
)
def test_as_much_as_was_advertised_or_more_is_right(gpu: str) -> None:
    assert mismatch(instance(), probe(gpu, disk="55"), DISK) == ""


def test_a_machine_whose_driver_was_not_advertised_is_not_judged_by_it() -> None:
    output = probe("NVIDIA GeForce RTX 4090, 24564, 470.1")

    assert mismatch(instance(driver_version=None), output, DISK) == ""


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_one_wrong_gpu_among_several_is_found(order: tuple[int, ...]) -> None:
    gpus = [
        "NVIDIA GeForce RTX 4090, 24564, 570.124.04",
        "NVIDIA GeForce RTX 4090, 24564, 570.124.04",
        "NVIDIA GeForce RTX 4090 D, 24564, 570.124.04",
    ]

    assert "4090 D" in mismatch(instance(num_gpus=3), probe(*(gpus[place] for place in order)), DISK)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "\n",
        "bash: nvidia-smi: command not found\n",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
        "Failed to initialize NVML: Driver/library version mismatch\n61\n",
        "No devices were found\n61\n",
        "61\n",
        "NVIDIA GeForce RTX 4090, 24564, 570.124.04\n",
        "NVIDIA GeForce RTX 4090, [N/A], 570.124.04\n61\n",
        "NVIDIA GeForce RTX 4090, 24564\n61\n",
    ],
)
def test_an_answer_that_makes_no_sense_is_shown(output: str) -> None:
    told = mismatch(instance(), output, DISK)

    assert told == f"nvidia-smi or df gave no usable answer: {output.strip()!r}"


LINES = st.lists(st.text(alphabet="ab ,²٣3.[]", max_size=12), max_size=4).map("\n".join)


@given(st.text() | LINES)
def test_no_output_at_all_makes_the_check_fail_to_answer(output: str) -> None:
    assert mismatch(instance(), output, DISK)
