"""What a job asks of the machine that it runs on, wherever that is. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.spec.base import Spec

Amount = Annotated[float, Field(ge=0)]


class Work(Spec):
    """The work of one job on one machine.

    A training is done when its images are trained; anything else lasts for its hours.
    """

    kind: Literal["lora", "full", "up"]
    """A LoRA, a full fine-tune, or a machine that is to be up."""
    images: Amount = 0
    """That are trained in all, repeats and epochs counted."""
    megapixels: Annotated[float, Field(gt=0)] = 1.0
    """Of each image: 1 is 1024 x 1024 pixels."""
    batch: Annotated[int, Field(ge=1)] = 1
    """Images that a GPU trains at once."""
    checkpointing: bool = True
    """Whether gradients are computed again instead of kept, which is slower."""
    gpus: Annotated[int, Field(ge=1)] = 1
    """That train together."""
    saves: Annotated[int, Field(ge=1)] = 1
    """Equal parts of the training after each of which it could go on elsewhere."""
    hours: Amount = 0
    """That a machine is to be up."""
    disk: Annotated[float, Field(gt=0)]
    """GB of container disk."""
    image: Amount = 0
    """GB of Docker image to pull."""
    fetched: Amount = 0
    """GB that the machine downloads before the work begins: packages, models, datasets."""
    sent: Amount = 0
    """GB that this computer uploads to the machine before the work begins."""
    state: Amount = 0
    """GB that this computer uploads besides, where the work goes on elsewhere."""
    returned: Amount = 0
    """GB that come back over all the work: checkpoints, states, samples."""
    setup: Amount = 0
    """Seconds of installation that no bandwidth shortens."""
    assumed: tuple[str, ...] = ()
    """What of this nobody knows yet, and what was taken for it, one line each."""
