"""From a training job to what runs on the machine: installation, base model, dataset TOML, arguments. Pure.

Everything is relative to the workspace, which is the working directory of every job.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import tomli_w

from components.remote.job import Job

if TYPE_CHECKING:
    from components.spec.train import BaseModelSource, TrainJob

SD_SCRIPTS_COMMIT: Final = "48d368fa"
"""The commit of kohya-ss/sd-scripts that options and messages were read from (0.10.1, 2026-02-16)."""

DATASET: Final = "dataset"
VENV: Final = "venv"

_INSTALL: Final = f"""test -x {VENV}/bin/python || uv venv {VENV}
uv pip install --python {VENV}/bin/python torch==2.6.0 torchvision==0.21.0 \\
  --index-url https://download.pytorch.org/whl/cu124
test -d sd-scripts/.git || git clone https://github.com/kohya-ss/sd-scripts sd-scripts
git -C sd-scripts checkout --quiet {SD_SCRIPTS_COMMIT}
cd sd-scripts
uv pip install --python ../{VENV}/bin/python -r requirements.txt tensorboard
../{VENV}/bin/python -c 'import torch; assert torch.cuda.is_available(), "torch sees no CUDA GPU"'
"""

_ENVIRONMENT: Final = "export PYTHONUNBUFFERED=1 PYTHONIOENCODING=utf-8 TQDM_MININTERVAL=1 COLUMNS=200"


@dataclass(frozen=True)
class Plan:
    """What a training job does on its machine.

    Attributes:
        run: identifies the run: the job's name and a digest of all that determines the result.
        install: the job that installs sd-scripts.
        base_model: the job that downloads the base model, or None where it is there already.
        training: the job that trains.
        checkpoint: the file that training ends with.
        logs: the folder of TensorBoard's events.
    """

    run: str
    install: Job
    base_model: Job | None
    training: Job
    checkpoint: str
    logs: str

    @property
    def preparations(self) -> list[Job]:
        """The jobs that must be done before training starts; they do not wait for each other."""
        return [job for job in (self.install, self.base_model) if job]


def plan(job: TrainJob, dataset_digest: str) -> Plan:
    """Return the plan of `job` on the dataset with that digest."""
    model, download = base_model(job.base_model)
    run = f"{job.name}-{_settings(job, dataset_digest)}"
    folder = f"runs/{run}"
    command = shlex.join(arguments(job, model, folder))
    config = f"{folder}/dataset.toml"
    script = f"""{_ENVIRONMENT}
mkdir -p {folder}
cat > {config} <<'END'
{dataset_toml(job)}END
exec {command}
"""
    return Plan(
        run=run,
        install=Job("install", _INSTALL),
        base_model=Job("base-model", download) if download else None,
        training=Job("training", script),
        checkpoint=f"{folder}/output/{job.name}.safetensors",
        logs=f"{folder}/logs",
    )


def _settings(job: TrainJob, dataset_digest: str) -> str:
    """Return a digest of what determines the result: not the machine, where the dataset lies, or a wait."""
    settings = job.model_dump_json(
        exclude={"node": True, "dataset": {"path"}, "training": {"first_step"}}, exclude_defaults=True
    )
    return _digest(f"{settings} {job.node.gpu.count} {dataset_digest}")


def base_model(source: BaseModelSource) -> tuple[str, str]:
    """Return the base model's path on the machine and the script that downloads it, empty if it is there.

    The file's name tells its source, so that another model of the same name is never taken for it, and ends
    in .safetensors, without which sd-scripts reads it as a pickle.
    """
    if source.path:
        return source.path, ""
    url = source.url or f"https://huggingface.co/{source.huggingface}/resolve/main/{source.file}"
    name = PurePosixPath(url.partition("?")[0]).name.removesuffix(".safetensors")
    target = f"models/{name}-{_digest(f'{url} {source.sha256}')}.safetensors"
    quoted = shlex.quote(target)
    check = f"echo {source.sha256}  {quoted}.part | sha256sum --check --quiet\n" if source.sha256 else ""
    return target, (
        f"test -e {quoted} && exit 0\n"
        "mkdir -p models\n"
        f"curl -fsSL --retry 5 -C - -o {quoted}.part {shlex.quote(url)}\n"
        f"{check}mv {quoted}.part {quoted}\n"
    )


def dataset_toml(job: TrainJob) -> str:
    """Return the dataset configuration in sd-scripts' own schema."""
    data, training = job.dataset, job.training
    subset: dict[str, Any] = {
        "image_dir": DATASET,
        "num_repeats": data.repeats,
        "caption_extension": data.caption_extension,
        "keep_tokens": data.keep_tokens,
        "shuffle_caption": data.shuffle_caption,
        "flip_aug": data.flip_aug,
    }
    if data.class_tokens:
        subset["class_tokens"] = data.class_tokens
    dataset: dict[str, Any] = {
        "resolution": training.resolution,
        "batch_size": training.batch_size,
        "enable_bucket": job.buckets.enabled,
    }
    if job.buckets.enabled:
        dataset["min_bucket_reso"] = job.buckets.min
        dataset["max_bucket_reso"] = job.buckets.max
        dataset["bucket_reso_steps"] = job.buckets.step
    return tomli_w.dumps({"datasets": [{**dataset, "subsets": [subset]}]})


def arguments(job: TrainJob, model: str, folder: str) -> list[str]:
    """Return the command that trains, `accelerate launch` included.

    Text encoder outputs are cached only where nothing changes a caption between epochs and the text
    encoders are not trained: sd-scripts asserts both.
    """
    training, lora = job.training, job.lora
    options: dict[str, Any] = {
        "pretrained_model_name_or_path": model,
        "dataset_config": f"{folder}/dataset.toml",
        "output_dir": f"{folder}/output",
        "output_name": job.name,
        "logging_dir": f"{folder}/logs",
        "log_with": "tensorboard",
        "console_log_simple": True,
        "save_model_as": "safetensors",
        "save_precision": "fp16",
        "save_every_n_epochs": training.save_every_epochs,
        "max_train_epochs": training.epochs,
        "learning_rate": training.learning_rate,
        "lr_scheduler": training.scheduler,
        "lr_warmup_steps": training.warmup_steps or None,
        "optimizer_type": training.optimizer,
        "mixed_precision": training.precision,
        "no_half_vae": True,
        "sdpa": True,
        "cache_latents": True,
        "cache_latents_to_disk": True,
        "gradient_checkpointing": training.gradient_checkpointing,
        "gradient_accumulation_steps": training.gradient_accumulation,
        "max_data_loader_n_workers": 2,
        "persistent_data_loader_workers": True,
        "seed": training.seed,
    }
    fixed_captions = not job.dataset.shuffle_caption
    if lora:
        options["network_module"] = "networks.lora"
        options["network_dim"] = lora.dim
        options["network_alpha"] = lora.alpha
        options["network_train_unet_only"] = not lora.text_encoders
    if fixed_captions and not (lora and lora.text_encoders):
        options["cache_text_encoder_outputs"] = True
        options["cache_text_encoder_outputs_to_disk"] = True
    if training.optimizer == "Adafactor":
        options["optimizer_args"] = ["scale_parameter=False", "relative_step=False", "warmup_init=False"]
    launch = [
        f"{VENV}/bin/accelerate",
        "launch",
        *("--num_processes", str(job.node.gpu.count)),
        *("--num_machines", "1"),
        *(["--multi_gpu"] if job.node.gpu.count > 1 else []),
        *("--mixed_precision", training.precision),
        *("--dynamo_backend", "no"),
        *("--num_cpu_threads_per_process", str(max(1, job.node.cpu // job.node.gpu.count))),
    ]
    script = "sdxl_train_network.py" if lora else "sdxl_train.py"
    return [*launch, f"sd-scripts/{script}", *_flags(options)]


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


def _flags(options: dict[str, Any]) -> list[str]:
    flags: list[str] = []
    for name, value in options.items():
        match value:
            case None | False:
                continue
            case True:
                flags.append(f"--{name}")
            case list():
                flags += [f"--{name}", *map(str, value)]
            case _:
                flags += [f"--{name}", str(value)]
    return flags
