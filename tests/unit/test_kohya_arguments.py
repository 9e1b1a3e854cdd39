"""Every valid job becomes a command that sd-scripts' own parser takes and that none of its asserts stops."""

from __future__ import annotations

import tomllib
from argparse import Namespace
from typing import Any

import pytest
from hypothesis import given
from sd_scripts_rules import broken_rules, launcher, misfits, parser
from unit_models import node, train_job, train_jobs

from components.kohya.plan import arguments, dataset_toml
from components.spec.train import TrainJob

PARSERS = {script: parser(script) for script in ("sdxl_train.py", "sdxl_train_network.py")}


def split(job: TrainJob) -> tuple[list[str], str, list[str]]:
    """Return the launcher's arguments, the script, and the script's arguments."""
    words = arguments(job, "models/base.safetensors", "runs/x")
    assert words[:2] == ["venv/bin/accelerate", "launch"]
    place = next(index for index, word in enumerate(words) if word.endswith(".py"))
    return words[2:place], words[place], words[place + 1 :]


def parsed(job: TrainJob) -> Namespace:
    _, script, words = split(job)
    return PARSERS[script.removeprefix("sd-scripts/")].parse_args(words)


def dataset(job: TrainJob) -> dict[str, Any]:
    [found] = tomllib.loads(dataset_toml(job))["datasets"]
    return found


@given(train_jobs())
def test_the_parser_of_the_right_script_takes_the_command(job: TrainJob) -> None:
    expected = "sd-scripts/sdxl_train_network.py" if job.lora else "sd-scripts/sdxl_train.py"

    assert split(job)[1] == expected
    assert parsed(job).output_name == job.name


@given(train_jobs())
def test_the_launcher_takes_its_part_and_starts_one_process_for_each_gpu(job: TrainJob) -> None:
    launch = launcher().parse_args(split(job)[0])

    assert (launch.num_processes, launch.multi_gpu) == (job.node.gpu.count, job.node.gpu.count > 1)
    assert launch.mixed_precision == parsed(job).mixed_precision == job.training.precision


@given(train_jobs())
def test_no_combination_arises_that_sd_scripts_stops_at(job: TrainJob) -> None:
    assert broken_rules(parsed(job), dataset(job), lora=job.lora is not None) == []


@given(train_jobs())
def test_the_dataset_file_has_only_keys_and_types_that_sd_scripts_takes(job: TrainJob) -> None:
    [subset] = dataset(job)["subsets"]

    assert misfits(dataset(job), "dataset") == []
    assert misfits(subset, "subset") == []


@given(train_jobs())
def test_the_dataset_file_says_what_the_job_says(job: TrainJob) -> None:
    expected: dict[str, Any] = {
        "resolution": job.training.resolution,
        "batch_size": job.training.batch_size,
        "enable_bucket": job.buckets.enabled,
        "subsets": [
            {
                "image_dir": "dataset",
                "num_repeats": job.dataset.repeats,
                **job.dataset.model_dump(
                    exclude={"path", "repeats"}
                    | ({"class_tokens"} if not job.dataset.class_tokens else set())
                ),
            }
        ],
    }
    if job.buckets.enabled:
        sizes = job.buckets
        expected |= {
            "min_bucket_reso": sizes.min,
            "max_bucket_reso": sizes.max,
            "bucket_reso_steps": sizes.step,
        }

    assert dataset(job) == expected


@given(train_jobs())
def test_the_options_say_what_the_job_says(job: TrainJob) -> None:
    args, training = parsed(job), job.training

    assert args.learning_rate == training.learning_rate
    assert args.max_train_epochs == training.epochs
    assert args.lr_warmup_steps == (training.warmup_steps or None)
    assert args.gradient_checkpointing == training.gradient_checkpointing
    assert args.gradient_accumulation_steps == training.gradient_accumulation
    assert args.save_every_n_epochs == training.save_every_epochs
    assert args.seed == training.seed
    if job.lora:
        assert (args.network_dim, args.network_alpha) == (job.lora.dim, job.lora.alpha)
        assert args.network_train_unet_only == (not job.lora.text_encoders)


@pytest.mark.parametrize(
    ("lora", "shuffle", "cached"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"text_encoders": True}, False, False),
        ({"text_encoders": True}, True, False),
        (None, False, True),
        (None, True, False),
    ],
)
def test_encodings_are_cached_where_captions_are_fixed_and_encoders_are_not_trained(
    lora: dict[str, Any] | None, shuffle: bool, cached: bool
) -> None:
    job = train_job(lora=lora, dataset={"path": "images", "shuffle_caption": shuffle})

    assert parsed(job).cache_text_encoder_outputs == cached
    assert parsed(job).cache_text_encoder_outputs_to_disk == cached


def test_adafactor_keeps_the_learning_rate_of_the_job() -> None:
    training = {"epochs": 1, "learning_rate": 1e-5, "optimizer": "Adafactor", "warmup_steps": 100}

    assert "relative_step=False" in parsed(train_job(training=training)).optimizer_args


@pytest.mark.parametrize(("cpu", "count", "threads"), [(4, 1, 4), (8, 4, 2), (2, 4, 1)])
def test_the_processes_share_the_cores(cpu: int, count: int, threads: int) -> None:
    job = train_job(node=node(cpu=cpu, gpu={"models": ["A100"], "count": count}))

    assert launcher().parse_args(split(job)[0]).num_cpu_threads_per_process == threads


def test_the_parsers_refuse_what_the_other_script_takes() -> None:
    """The tests above would prove nothing with parsers that take anything."""
    with pytest.raises(SystemExit):
        PARSERS["sdxl_train.py"].parse_args(["--network_dim", "4"])
