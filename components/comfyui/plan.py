"""From an inference job to what runs on each of its machines: installation, models, services. Pure."""

from __future__ import annotations

import json
import shlex
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from comfy.custom import Custom
from comfy.workflows import Limits, catalogue
from comfy.workflows import Models as Files
from components.comfyui import gateway
from components.comfyui.install import comfy
from components.comfyui.models import file_name, placed
from components.comfyui.service import service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.comfyui.models import Placed
    from components.remote.job import Job
    from components.spec.infer import InferJob

_FLAGS: Final = (
    *("--listen", "127.0.0.1", "--port", str(gateway.COMFYUI_PORT), "--disable-auto-launch"),
    *("--disable-metadata", "--disable-api-nodes", "--preview-method", "latent2rgb"),
)
"""The gateway's answers hold no workflow; nodes that buy from others are off."""

_MODELS: Final = (".safetensors", ".ckpt", ".pth", ".pt", ".bin")
_TEXTS: Final = ("text", "filename_prefix")


@dataclass(frozen=True)
class Plan:
    """What an inference job does on each of its machines.

    Attributes:
        install: the job that installs ComfyUI.
        models: where each model lies, and the jobs that bring some of them.
        comfyui: the service.
        folder: of ComfyUI.
        catalogue: what the gateway offers: model files, limits and workflows of one's own, as JSON.
        workflows: their names.
    """

    install: Job
    models: tuple[Placed, ...]
    comfyui: Job
    folder: str
    catalogue: str
    workflows: tuple[str, ...]

    @property
    def preparations(self) -> list[Job]:
        """The jobs that must be done before ComfyUI starts; they do not wait for each other."""
        return [self.install, *(model.job for model in self.models if model.job)]


def plan(
    job: InferJob, graphs: Mapping[str, dict[str, Any]], *, token: bool = False, hashes: Mapping[str, str]
) -> Plan:
    """Return the plan of `job`.

    Args:
        job: the job.
        graphs: of its workflows, by name.
        token: whether there is a token for Hugging Face.
        hashes: SHA-256 of the models on this computer, by their key.

    Raises:
        SpecError: a model is not what it should be.
        ValueError: a workflow cannot be right.
    """
    models = tuple(placed(job.models, hashes, token=token))
    offered = {
        "models": files(job, models).model_dump(mode="json"),
        "limits": Limits(**job.gateway.limits.model_dump()).model_dump(mode="json"),
        "custom": [
            custom(job, name, renamed(name, graph, job, models)).model_dump(mode="json")
            for name, graph in graphs.items()
        ],
    }
    found = catalogue(
        Files.model_validate(offered["models"]),
        Limits.model_validate(offered["limits"]),
        [Custom.model_validate(each) for each in offered["custom"]],
    )
    tool = comfy(job.comfyui)
    command = shlex.join([*_FLAGS, *job.comfyui.arguments])
    return Plan(
        install=tool.install,
        models=models,
        comfyui=service(
            "comfyui",
            gateway.COMFYUI_PORT,
            f"# {tool.install.digest}\npython=$(realpath -s {tool.python})\ncd {tool.folder}\n"
            f"exec $python main.py {command}",
        ),
        folder=tool.folder,
        catalogue=json.dumps(offered, sort_keys=True),
        workflows=tuple(found),
    )


def files(job: InferJob, models: tuple[Placed, ...]) -> Files:
    """Return the models by the file names under which ComfyUI finds them."""
    names = {model.key: model.name for model in models}
    return Files(
        checkpoint=names["checkpoint"],
        refiner=names.get("refiner"),
        vae=names.get("vae"),
        upscaler=names.get("upscaler"),
        loras={name: names[f"loras.{name}"] for name in job.models.loras},
        lora_strengths={name: lora.strength for name, lora in job.models.loras.items()},
    )


def custom(job: InferJob, name: str, graph: dict[str, Any]) -> Custom:
    """Return the job's workflow of that name, with its graph."""
    spec = next(each for each in job.workflows if each.name == name)
    return Custom.model_validate(
        {"inputs": {}, **spec.model_dump(mode="json", exclude_defaults=True), "graph": graph}
    )


def renamed(
    name: str, graph: dict[str, Any], job: InferJob, models: tuple[Placed, ...]
) -> dict[str, dict[str, Any]]:
    """Return a workflow's graph with the names under which this ComfyUI has the models that it names.

    Raises:
        ValueError: it names a model file that the job does not have.
    """
    sources = job.models.sources()
    known = {model.name: model.name for model in models}
    known |= {file_name(sources[model.key]): model.name for model in models}
    made = deepcopy(graph)
    for node, entry in made.items():
        for field, value in entry["inputs"].items():
            if not (isinstance(value, str) and value.endswith(_MODELS) and field not in _TEXTS):
                continue
            if PurePosixPath(value).name not in known:
                raise ValueError(
                    f"{name}: node {node}, {field}: {value} is not among models: add it, or name one of "
                    f"{', '.join(known)}"
                )
            entry["inputs"][field] = known[PurePosixPath(value).name]
    return made


def digest(*parts: str) -> str:
    """Return what identifies the parts."""
    return sha256("\0".join(parts).encode()).hexdigest()[:16]
