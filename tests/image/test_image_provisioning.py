"""The jobs that provision, on a machine with the image's programs: whole, twice, broken off, and refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from image_machine import A100, RTX_4090

from components.kohya.install import SD_SCRIPTS_COMMIT, trainer
from components.remote.model import model
from components.remote.token import token_script
from components.spec.model import BaseModelSource

if TYPE_CHECKING:
    from collections.abc import Collection

    from image_machine import Machine

SDXL = BaseModelSource(
    huggingface="stabilityai/stable-diffusion-xl-base-1.0",
    file="sd_xl_base_1.0.safetensors",
    sha256="31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b",
)
SDXL_BYTES = 6_938_078_334
RTX_5090 = ("NVIDIA GeForce RTX 5090", 32607)


def script(packages: Collection[str] = ()) -> str:
    return f"set -euo pipefail\n{trainer('own', packages).install.script}"


def install(machine: Machine, *packages: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return machine.run("/bin/bash", "-c", script(packages), start_new_session=True, **options)


def versions(machine: Machine) -> dict[str, str]:
    frozen = machine.run("uv", "pip", "freeze", "--python", "venv").stdout
    return dict(line.split("==") for line in frozen.split())


def assert_installed(
    machine: Machine, done: subprocess.CompletedProcess[str], torch: str = "2.6.0+cu124"
) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"installed: torch {torch} computes on ")
    found = versions(machine)
    assert found["torch"] == torch
    assert (found["transformers"], found["tensorboard"]) == ("4.54.1", "2.21.0")
    assert (machine.home / "sd-scripts/sdxl_train.py").is_file()
    head = machine.run("git", "-C", "sd-scripts", "rev-parse", "HEAD").stdout.strip()
    assert head == SD_SCRIPTS_COMMIT
    for program in ("accelerate", "tensorboard"):
        assert os.access(machine.home / "venv/bin" / program, os.X_OK)
    for name in ("openai_clip-vit-large-patch14", "laion_CLIP-ViT-bigG-14-laion2B-39B-b160k"):
        files = {path.name for path in (machine.home / "tokenizers" / name).iterdir()}
        assert files == {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"}


def traffic(machine: Machine) -> int:
    file = machine.home / "run/traffic"
    lines = file.read_text().splitlines() if file.exists() else []
    return sum(int(line.removeprefix("down ")) for line in lines)


def interrupted(machine: Machine, program: str, word: str) -> dict[str, str]:
    """Return an environment in which all is killed at once where `program` is called with `word`."""
    path = machine.home / "interrupted" / program
    path.parent.mkdir()
    path.write_text(
        f'#!/bin/bash\nif [[ " $* " == *{word}* ]]; then kill -KILL 0; fi\nPATH=${{PATH#*:}}\nexec {program} "$@"\n'
    )
    path.chmod(0o755)
    return {"PATH": f"{path.parent}:{machine.environment['PATH']}"}


def test_a_plain_machine_gets_all_that_training_needs(machine: Machine) -> None:
    assert_installed(machine, install(machine))


def test_a_second_run_fetches_nothing(machine: Machine) -> None:
    install(machine)
    before = traffic(machine)
    done = install(machine)

    assert_installed(machine, done)
    assert traffic(machine) == before
    stages = [
        line for line in done.stdout.splitlines() if line.startswith(("torch:", "scripts:", "req", "tok"))
    ]
    assert len(stages) == 4
    assert all(": there already: " in line for line in stages)


@pytest.mark.parametrize(
    ("program", "word"),
    [
        ("uv", "venv"),
        ("uv", "torchvision"),
        ("git", "fetch"),
        ("git", "checkout"),
        ("uv", "requirements.txt"),
        ("apt-get", "libgl1"),
        ("uv", "xformers"),
        ("uv", "wandb"),
        ("curl", "bigG*merges.txt"),
    ],
)
def test_whatever_an_interrupted_run_left_is_made_whole(machine: Machine, program: str, word: str) -> None:
    killed = install(machine, "xformers", "wandb", env=interrupted(machine, program, word))
    assert killed.returncode == -signal.SIGKILL

    assert_installed(machine, install(machine, "xformers", "wandb"))
    assert versions(machine)["xformers"] == "0.0.29.post3"


def killed(machine: Machine, script: str, after: int) -> None:
    """Run a script at a pace that can be seen, and kill it once so many bytes have come."""
    machine.write_facts(scale=50)
    command = ["/bin/bash", "-c", script]
    run = subprocess.Popen(command, cwd=machine.home, env=machine.environment, start_new_session=True)
    deadline = time.monotonic() + 30
    while traffic(machine) < after:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    machine.write_facts(scale=1_000_000)


def test_a_run_killed_while_torch_comes_is_made_whole(machine: Machine) -> None:
    killed(machine, script(), 100_000_000)
    assert traffic(machine) < 3_000_000_000

    assert_installed(machine, install(machine))


def test_a_hub_that_limits_its_rate_is_named_and_the_rest_is_kept(machine: Machine) -> None:
    machine.write_facts(faults=["hub_429"])
    done = install(machine)
    assert done.returncode == 22
    assert (done.stdout + done.stderr).splitlines()[-1].endswith("The requested URL returned error: 429")
    before = traffic(machine)
    machine.write_facts(faults=[])

    assert_installed(machine, install(machine))
    assert traffic(machine) - before < 5_000_000


def test_an_environment_that_stopped_working_is_made_anew(machine: Machine) -> None:
    install(machine)
    (machine.home / "venv/bin/python").unlink()  # its interpreter was outside of the volume that was kept
    assert_installed(machine, install(machine))

    shutil.rmtree(next(machine.home.glob("venv/lib/python*/site-packages/accelerate")))
    broken = install(machine)
    assert broken.returncode == 3
    assert "does not work, the next run makes it anew: No module named 'accelerate'" in broken.stdout
    assert_installed(machine, install(machine))


@pytest.mark.parametrize(
    ("cards", "torch"),
    [([RTX_4090], "2.6.0+cu124"), ([A100, A100], "2.6.0+cu124"), ([RTX_5090], "2.8.0+cu128")],
)
def test_torch_follows_the_generation_of_the_gpu(
    machine: Machine, cards: list[tuple[str, int]], torch: str
) -> None:
    machine.with_gpus(*cards)

    done = install(machine, "xformers")

    assert_installed(machine, done, torch)
    assert done.stdout.splitlines()[-1].endswith(f" {len(cards)} GPU")
    assert versions(machine)["xformers"] == {"2.6.0": "0.0.29.post3", "2.8.0": "0.0.32.post2"}[torch[:5]]


def test_a_kept_volume_on_a_newer_gpu_gets_another_torch(machine: Machine) -> None:
    install(machine)
    machine.with_gpus(RTX_5090)

    assert_installed(machine, install(machine), "2.8.0+cu128")


@pytest.mark.parametrize(
    ("facts", "last"),
    [
        ({"gpus": []}, "nvidia-smi shows no GPU: No devices were found"),
        (
            {
                "gpus": [
                    {
                        "name": "NVIDIA Tesla T4",
                        "memory_mib": 15360,
                        "driver": "470.1",
                        "cuda": "11.4",
                        "uuid": "a",
                    }
                ]
            },
            "torch 2.6.0+cu124 sees no CUDA GPU: the driver is too old for it, or the GPU is gone",
        ),
    ],
)
def test_a_machine_that_cannot_train_is_told_from_one_that_can(
    machine: Machine, facts: dict[str, object], last: str
) -> None:
    machine.write_facts(**facts)
    done = install(machine)

    assert done.returncode == 1
    assert (done.stdout + done.stderr).splitlines()[-1] == last


def launch(machine: Machine) -> subprocess.CompletedProcess[str]:
    """Start a training that gets no further than its dataset, which is empty."""
    found = trainer("own")
    return machine.run(
        machine.home / found.accelerate,
        *("launch", "--num_processes", "1", "--mixed_precision", "bf16"),
        f"{found.scripts}/sdxl_train_network.py",
        *("--pretrained_model_name_or_path", "missing.safetensors", "--output_dir", "output"),
        *("--train_data_dir", "run", "--network_module", "networks.lora", "--resolution", "1024"),
        *("--tokenizer_cache_dir", found.tokenizers),
    )


def test_the_trainer_needs_no_hub(machine: Machine) -> None:
    install(machine)
    before = traffic(machine)
    machine.write_facts(faults=["hub_429"])
    done = launch(machine)

    assert done.returncode == 0
    assert "No data found." in done.stderr
    for name in ("openai_clip-vit-large-patch14", "laion_CLIP-ViT-bigG-14-laion2B-39B-b160k"):
        assert f"load tokenizer from cache: tokenizers/{name}" in done.stderr
    assert traffic(machine) == before


def test_without_them_or_with_half_of_them_it_would_fail(machine: Machine) -> None:
    install(machine)
    machine.write_facts(faults=["hub_429"])
    folder = machine.home / "tokenizers/openai_clip-vit-large-patch14"
    (folder / "merges.txt").rename(folder / "kept")
    assert "OSError: Can't load tokenizer for 'tokenizers/openai_clip" in launch(machine).stderr

    (folder / "kept").rename(folder / "merges.txt")
    (folder / "vocab.json").write_text("<html>")
    assert "json.decoder.JSONDecodeError: Expecting value" in launch(machine).stderr

    shutil.rmtree(folder)
    assert (
        "429 Client Error: Too Many Requests for url: https://huggingface.co/openai/"
        in launch(machine).stderr
    )


def bring(
    machine: Machine, source: BaseModelSource, *, token: bool = False
) -> subprocess.CompletedProcess[str]:
    job = model(source, "base-model", "base_model", token=token).job
    assert job
    return machine.run("/bin/bash", "-c", f"set -euo pipefail\n{job.script}")


def test_the_base_model_comes_whole_and_once(machine: Machine) -> None:
    for _ in range(2):
        done = bring(machine, SDXL)
        assert done.returncode == 0, done
    file = machine.home / model(SDXL, "base-model", "base_model").path

    assert file.stat().st_size == SDXL_BYTES
    assert SDXL_BYTES < traffic(machine) < SDXL_BYTES + 10_000
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_base_model_that_broke_off_is_not_fetched_twice(machine: Machine) -> None:
    job = model(SDXL, "base-model", "base_model").job
    assert job
    killed(machine, f"set -euo pipefail\n{job.script}", 1_000_000_000)
    left = (machine.home / f"{model(SDXL, 'base-model', 'base_model').path}.part").stat().st_size
    assert 0 < left < SDXL_BYTES
    before = traffic(machine)

    assert bring(machine, SDXL).returncode == 0
    assert SDXL_BYTES - left <= traffic(machine) - before < SDXL_BYTES - left + 10_000


def test_a_disk_that_is_too_small_is_told_before_the_download(machine: Machine) -> None:
    machine.write_facts(disk_gb=20)
    done = bring(machine, SDXL)

    last = "base model: 7.0GB are to come, and the disk has 6.0GB free: raise node.disk"
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, last)
    assert traffic(machine) < 10_000


@pytest.mark.parametrize(
    ("changes", "source", "last"),
    [
        (
            {},
            BaseModelSource(huggingface="stabilityai/sdxl-vae", file="nothing.safetensors"),
            "huggingface.co has no such file (it answers 404)",
        ),
        (
            {},
            BaseModelSource(huggingface="nobody/nothing", file="it.safetensors"),
            "huggingface.co answers 401 or 403: the repository is gated, private or misspelled; set a token",
        ),
        ({"faults": ["hub_429"]}, SDXL, "huggingface.co answers 429 (curl ends with 0)"),
        (
            {},
            BaseModelSource(url="https://nowhere.example/it.safetensors"),
            "nowhere.example cannot be reached (curl ends with 6)",
        ),
        (
            {"faults": ["disk_full"], "disk_gb": 1e9},
            SDXL,
            "7.0GB are to come, and the disk has 0B free: raise node.disk",
        ),
    ],
)
def test_what_does_not_come_is_explained_in_the_last_line(
    machine: Machine, changes: dict[str, Any], source: BaseModelSource, last: str
) -> None:
    machine.write_facts(**changes)
    done = bring(machine, source)

    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, f"base model: {last}")


def test_a_token_is_seen_in_no_process_and_no_log(machine: Machine) -> None:
    token = "hf_aVerySecretToken"
    machine.write("web/huggingface.co/me/mine/.token", token)
    machine.write("web/huggingface.co/me/mine/resolve/main/it.safetensors", "no model")
    machine.write_facts(web=str(machine.home / "web"))
    source = BaseModelSource(huggingface="me/mine", file="it.safetensors")
    environment = {"WORKSPACE": str(machine.home)}
    machine.run("/bin/bash", input=token_script("huggingface", token), env=environment)
    seen = machine.home / "seen"
    spy = machine.write(
        "spy/curl", f'#!/bin/bash\nps -eww -o args >> {seen}\nPATH=${{PATH#*:}}\nexec curl "$@"\n'
    )
    spy.chmod(0o755)
    machine.environment["PATH"] = f"{spy.parent}:{machine.environment['PATH']}"

    done = bring(machine, source, token=True)

    assert done.stdout.splitlines()[-1] == "base model: it is no safetensors file"
    words = done.stdout + done.stderr + seen.read_text()
    assert "-H @.fragua/secrets/huggingface.token" in words
    assert token not in words
