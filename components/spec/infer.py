"""An inference job: `kind: infer`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from components.spec.base import Duration, Gigabytes, Positive, Spec
from components.spec.budget import Budget
from components.spec.models import Models
from components.spec.node import Node
from components.spec.source import Git

_OURS = (
    *("--listen", "--port", "--enable-cors-header", "--tls-keyfile", "--tls-certfile", "--multi-user"),
    *("--base-directory", "--output-directory", "--input-directory", "--auto-launch", "--quick-test-for-ci"),
)


class ComfyUI(Spec):
    """How ComfyUI gets on the node, and how it is started."""

    install: Literal["template", "own", "image"] = "template"
    """From Vast.ai's ComfyUI image; a pinned version on any image with CUDA; or as node.image has it."""
    folder: Annotated[str, Field(pattern=r"^/\S+$")] | None = None
    """For `image`: the folder in node.image that has ComfyUI's main.py."""
    environment: Annotated[str, Field(pattern=r"^/\S+$")] | None = None
    """For `image`: the folder of the Python environment that runs it, with bin/python in it."""
    custom_nodes: tuple[Git, ...] = ()
    """Node packs, each at one commit. They run as root on the node, and see what is on it."""
    arguments: tuple[Annotated[str, Field(pattern=r"^[!-~]+$")], ...] = ()
    """More flags of ComfyUI, such as --highvram."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.install == "image") != bool(self.folder and self.environment):
            raise ValueError("folder and environment belong to `install: image`, which needs both")
        # argparse takes a flag's beginning for the flag
        flags = [each for each in self.arguments if each.startswith("--")]
        if refused := [
            flag for flag in flags if any(own.startswith(flag.partition("=")[0]) for own in _OURS)
        ]:
            raise ValueError(
                f"{', '.join(refused)}: fragua sets where ComfyUI listens and writes; leave it out"
            )
        names = [each.url.rstrip("/").rpartition("/")[2].removesuffix(".git") for each in self.custom_nodes]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"custom_nodes: two are named {', '.join(twice)}, and they would share a folder")
        return self


class WorkflowInput(Spec):
    """One named input of a workflow: which input of which node it sets."""

    node: Annotated[str, Field(min_length=1)]
    """The node's id in the JSON."""
    input: Annotated[str, Field(min_length=1)]
    """The name of the node's input."""
    default: Any = None
    """Where a request leaves it out; without one it is required."""
    minimum: float | None = None
    """Of a number."""
    maximum: float | None = None
    """Of a number."""
    multiple: Positive | None = None
    """A number must be a multiple of it."""
    choices: tuple[str, ...] = ()
    """The only values it may have."""
    description: str = ""
    """For whoever asks the gateway what there is."""


class Workflow(Spec):
    """A workflow of your own, exported from ComfyUI by Export (API)."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    """By which requests ask for it."""
    description: str = ""
    """For whoever asks the gateway what there is."""
    graph: Annotated[str, Field(pattern=r"^[^\n]+\.json$")]
    """The JSON file, on this computer."""
    inputs: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")], WorkflowInput] = Field(default={})
    """What a request may set; `prompt`, `width`, `seed` and the like have the limits of the others."""
    allow: tuple[str, ...] = ()
    """Classes of custom nodes that it uses."""


class GatewayLimits(Spec):
    """What a request may ask for at most."""

    multiple: Annotated[int, Field(ge=8, multiple_of=8)] = 64
    """Width and height are multiples of it; ComfyUI itself cuts silently to multiples of 8."""
    min_side: Annotated[int, Field(ge=64)] = 256
    """Pixels of the shorter side."""
    max_side: Annotated[int, Field(le=16384)] = 2048
    """Pixels of the longer side."""
    max_pixels: Positive = 2_359_296
    """Width times height; SDXL is at its best near one million."""
    max_steps: Annotated[int, Field(ge=1, le=10000)] = 150
    """Of the sampler."""
    max_batch: Annotated[int, Field(ge=1, le=64)] = 4
    """Images of one request."""


class Gateway(Spec):
    """The HTTP API in front of ComfyUI, and the only thing that the world reaches."""

    expose: Literal["tls", "tunnel"] = "tls"
    """A public port with a certificate made on the node, or only through `./fragua tunnel`."""
    tokens: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")], ...], Field(min_length=1)
    ] = ("default",)
    """Names of who may ask; each gets a token of its own, and sees its own jobs only."""
    rate: Positive = 60
    """Requests a minute for each token, at each replica."""
    queue: Positive = 20
    """Jobs that may wait at each replica; more are refused with 429."""
    timeout: Duration = 600
    """For one job, from its start."""
    keep: Duration = 86400
    """How long images are kept on the node."""
    keep_size: Gigabytes = 5
    """GB of images that are kept on the node; the oldest go first."""
    body: Annotated[float, Field(gt=0, le=1000)] = 20
    """MB of one request, such as an input image."""
    limits: GatewayLimits = GatewayLimits()
    enhance: bool = False
    """Requests may ask OpenAI to write their prompt out; it needs the secret `openai:apiKey`."""
    front: Annotated[int, Field(ge=1, le=16)] | None = None
    """Number of the replica whose machine also balances over all of them, at a public port of its own. To set
    it, or to leave it out again, replaces all machines, since a port is opened at renting only."""

    @model_validator(mode="after")
    def _front_is_public(self) -> Self:
        if self.front is not None and self.expose == "tunnel":
            raise ValueError("front reaches the other replicas by their public ports: set expose to tls")
        return self


class InferJob(Spec):
    """Serve SDXL on rented machines: ComfyUI with the models, and a gateway in front of it."""

    kind: Literal["infer"]
    node: Node
    budget: Budget = Budget()
    replicas: Annotated[int, Field(ge=1, le=16)] = 1
    """Machines, each with all of it; `./fragua front` balances over them, or one of them by gateway.front."""
    comfyui: ComfyUI = ComfyUI()
    models: Models
    workflows: tuple[Workflow, ...] = ()
    """Beside text-to-image and the others that are built in."""
    gateway: Gateway = Gateway()
    ready: Duration = 2400
    """For everything after the machine is there: downloads, installation, the first image."""

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        names = [each.name for each in self.workflows]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"workflows: {', '.join(twice)} given twice; keep one")
        image = self.node.image.removeprefix("docker.io/")
        if self.comfyui.install == "template" and not image.startswith("vastai/comfy"):
            raise ValueError(
                f"comfyui.install: template is Vast.ai's ComfyUI image, and node.image is {image}: take "
                "vastai/comfy, or install: own"
            )
        if (self.gateway.front or 0) > self.replicas:
            raise ValueError(
                f"gateway.front: there is no replica {self.gateway.front}: replicas is {self.replicas}"
            )
        if self.replicas > 1 and self.node.adopt is not None:
            raise ValueError("node.adopt takes over one machine: leave it out, or set replicas to 1")
        self.budget.check(self.node.limits, serves=True, ready=self.ready)
        return self
