"""A training job: `kind: train`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from components.spec.base import Spec
from components.spec.budget import Budget
from components.spec.dataset import Dataset
from components.spec.model import BaseModelSource
from components.spec.node import Node
from components.spec.source import Rclone
from components.spec.training import Buckets, Lora, Samples, Training

OutputName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class TrainJob(Spec):
    """Train SDXL, by LoRA or in full, on a rented machine and bring the checkpoints home."""

    kind: Literal["train"]
    name: OutputName
    """Name of the checkpoint files."""
    node: Node
    budget: Budget = Budget()
    install: Literal["own", "kohya-template"] = "own"
    """sd-scripts in an environment of its own on any image with CUDA, or in that of Vast.ai's Kohya image."""
    packages: tuple[str, ...] = ()
    """More Python packages to install for it, such as xformers or prodigyopt."""
    base_model: BaseModelSource
    dataset: Dataset
    buckets: Buckets = Buckets()
    lora: Lora | None = None
    training: Training = Training()
    samples: Samples | None = None
    bucket: Rclone | None = None
    """Where the machine itself pushes every checkpoint and state, so that nobody need be at home."""
    extra: dict[str, Any] = Field(default={})
    """More options of sd-scripts by their own names; true for a flag, a list where one takes several."""
    consent: tuple[str, ...] = ()
    """Names of rules whose consequence is accepted; a refusal that can be accepted says its rule's name."""

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        if self.buckets.enabled and self.buckets.step > self.buckets.min:
            raise ValueError(f"buckets.step {self.buckets.step} is above buckets.min {self.buckets.min}")
        if self.buckets.enabled and not self.buckets.min <= self.training.resolution <= self.buckets.max:
            raise ValueError(
                f"training.resolution {self.training.resolution} is outside buckets.min {self.buckets.min} "
                f"to buckets.max {self.buckets.max}"
            )
        if (self.training.processes or 1) > self.node.gpu.count:
            raise ValueError(
                f"training.processes {self.training.processes} is above node.gpu.count {self.node.gpu.count}"
            )
        self.budget.check(self.node.limits, serves=False, training__first_step=self.training.first_step)
        return self
