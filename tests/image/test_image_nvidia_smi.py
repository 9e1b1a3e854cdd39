"""`nvidia-smi`: table, list, queries, and what it shows of a running training."""

from __future__ import annotations

import re
import subprocess
import time
from typing import TYPE_CHECKING

from image_machine import A100, RTX_4090

if TYPE_CHECKING:
    from image_machine import Machine, Trainer

TABLE = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 570.124.04             Driver Version: 570.124.04     CUDA Version: 12.8     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA A100-SXM4-80GB          On  |   00000000:01:00.0 Off |                    0 |
| N/A   31C    P8             36W /  400W |       1MiB /  81920MiB |      0%      Default |
|                                         |                        |             Disabled |
+-----------------------------------------+------------------------+----------------------+
|   1  NVIDIA GeForce RTX 4090        On  |   00000000:02:00.0 Off |                  N/A |
| 30%   32C    P8             40W /  450W |       2MiB /  24564MiB |      0%      Default |
|                                         |                        |                  N/A |
+-----------------------------------------+------------------------+----------------------+
"""


def test_the_table_is_laid_out_as_the_drivers(machine: Machine) -> None:
    machine.with_gpus(A100, RTX_4090)
    done = machine.run("nvidia-smi")

    assert done.returncode == 0
    assert TABLE in done.stdout
    assert (
        "|  No running processes found                                                             |"
        in done.stdout
    )
    assert {len(line) for line in done.stdout.splitlines()[1:]} == {91}


def test_the_list_names_each_gpu_with_its_uuid(machine: Machine) -> None:
    machine.with_gpus(A100, RTX_4090)

    assert machine.run("nvidia-smi", "-L").stdout.splitlines() == [
        "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-00000000)",
        "GPU 1: NVIDIA GeForce RTX 4090 (UUID: GPU-00000001)",
    ]


def test_queries_answer_as_csv(machine: Machine) -> None:
    fields = "name,memory.total,memory.used,memory.free,driver_version,utilization.gpu,temperature.gpu,power.draw,count"
    done = machine.run("nvidia-smi", f"--query-gpu={fields}", "--format=csv")
    assert done.stdout.splitlines() == [
        (
            "name, memory.total [MiB], memory.used [MiB], memory.free [MiB], driver_version, utilization.gpu [%], "
            "temperature.gpu, power.draw [W], count"
        ),
        "NVIDIA GeForce RTX 4090, 24564 MiB, 2 MiB, 24562 MiB, 570.124.04, 0 %, 31, 40.50 W, 1",
    ]

    bare = machine.run(
        "nvidia-smi", "--query-gpu=index,memory.total", "--format=csv,noheader,nounits", "-i", "0"
    )
    assert bare.stdout == "0, 24564\n"


def test_an_unknown_field_is_named_and_a_missing_format_asked_for(machine: Machine) -> None:
    done = machine.run("nvidia-smi", "--query-gpu=name,vram", "--format=csv")
    assert (done.returncode, done.stdout) == (2, 'Field "vram" is not a valid field to query.\n\n')

    assert '"--format=" switch is missing.' in machine.run("nvidia-smi", "--query-gpu=name").stdout


def test_a_machine_without_gpus_has_no_devices(machine: Machine) -> None:
    machine.with_gpus()
    done = machine.run("nvidia-smi")

    assert (done.returncode, done.stdout) == (6, "No devices were found\n")


def test_a_running_training_is_seen_and_a_dead_one_is_not(trainer: Trainer) -> None:
    machine = trainer.machine
    machine.write_facts(scale=100)
    command = [trainer.installed / "venv/bin/python", trainer.installed / "sd-scripts/sdxl_train_network.py"]
    process = subprocess.Popen(
        [*map(str, command), *trainer.lora_arguments("--max_train_epochs", "100")],
        env=machine.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    query = ("nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits")
    try:
        deadline = time.monotonic() + 30
        while not (shown := machine.run(*query).stdout).startswith("98") and time.monotonic() < deadline:
            time.sleep(0.05)
        utilization, used = map(int, shown.split(","))
        assert utilization == 98
        assert 8_000 < used < 12_000
        assert re.search(
            rf"\|    0   N/A  N/A +{process.pid} +C   python3 +{used - 2}MiB \|",
            machine.run("nvidia-smi").stdout,
        )
        apps = machine.run(
            "nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"
        )
        assert apps.stdout == f"{process.pid}, {used - 2}\n"
    finally:
        process.kill()
        process.wait()
    assert machine.run(*query).stdout == "0, 2\n"
    assert not list((trainer.home / "run/gpu").iterdir())
