"""Every valid job becomes a command that sd-scripts' own parser takes and that none of its asserts stops."""

from __future__ import annotations

import tomllib
from argparse import Namespace
from typing import Any

import pytest
from hypothesis import given
from sd_scripts_rules import broken_rules, launcher, misfits, parser
from unit_models import node, roomy, settings_of, train_job, train_jobs

from components.kohya.launch import Launch
from components.kohya.ledger import Point
from components.kohya.plan import plan
from components.spec.train import TrainJob

PARSERS = {script: parser(script) for script in ("sdxl_train.py", "sdxl_train_network.py")}


def launch_of(job: TrainJob) -> Launch:
    job = roomy(job)
    return plan(job, settings_of(job), "d1").launch


def split(job: TrainJob) -> tuple[list[str], str, list[str]]:
    """Return the launcher's arguments, the script, and the script's arguments."""
    launch = launch_of(job)
    words = launch.command(1, Point(0), launch.variants[0]) or []
    assert words[:2] == ["venv/bin/accelerate", "launch"]
    place = next(index for index, word in enumerate(words) if word.endswith(".py"))
    return words[2:place], words[place], words[place + 1 :]


def parsed(job: TrainJob) -> Namespace:
    _, script, words = split(job)
    return PARSERS[script.removeprefix("sd-scripts/")].parse_args(words)


def dataset(job: TrainJob) -> dict[str, Any]:
    [found] = tomllib.loads(launch_of(job).variants[0].dataset)["datasets"]
    return found


@given(train_jobs())
def test_the_parser_of_the_right_script_takes_the_command(job: TrainJob) -> None:
    expected = "sd-scripts/sdxl_train_network.py" if job.lora else "sd-scripts/sdxl_train.py"

    assert split(job)[1] == expected
    assert parsed(job).output_name == job.name


@given(train_jobs())
def test_the_launcher_takes_its_part_and_starts_one_process_for_each_gpu(job: TrainJob) -> None:
    launch = launcher().parse_args(split(job)[0])
    processes = job.training.processes or job.node.gpu.count

    assert (launch.num_processes, launch.multi_gpu) == (processes, processes > 1)
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
def test_what_the_job_says_is_what_sd_scripts_is_told(job: TrainJob) -> None:
    args, training, told = parsed(job), job.training, dataset(job)
    [subset] = told["subsets"]

    assert training.learning_rate in (None, args.learning_rate)
    assert training.epochs in (None, args.max_train_epochs)
    assert training.batch_size in (None, told["batch_size"])
    assert training.optimizer in (None, args.optimizer_type)
    assert training.gradient_checkpointing in (None, args.gradient_checkpointing)
    assert args.lr_warmup_steps == (training.warmup_steps or None)
    assert args.gradient_accumulation_steps == training.gradient_accumulation
    assert training.save_every_epochs in (None, args.save_every_n_epochs)
    assert args.seed == training.seed
    if job.lora:
        assert (args.network_dim, args.network_alpha) == (job.lora.dim, job.lora.alpha)
        assert args.network_train_unet_only == (not job.lora.text_encoders)
    assert told["resolution"] == training.resolution
    assert told["enable_bucket"] == job.buckets.enabled
    if job.buckets.enabled:
        sizes = (told["min_bucket_reso"], told["max_bucket_reso"], told["bucket_reso_steps"])
        assert sizes == (job.buckets.min, job.buckets.max, job.buckets.step)
    assert job.dataset.repeats in (None, subset["num_repeats"])
    assert subset["image_dir"] == "dataset"
    assert subset.get("class_tokens", "") == job.dataset.class_tokens
    assert subset.get("caption_dropout_rate", 0) == job.dataset.caption_dropout
    assert subset["shuffle_caption"] == job.dataset.shuffle_caption


@given(train_jobs())
def test_samples_are_drawn_where_there_are_prompts(job: TrainJob) -> None:
    assert bool(parsed(job).sample_prompts) == bool(launch_of(job).prompts) == bool(job.samples)


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
