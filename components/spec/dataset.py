"""The `dataset:` part of a training job: where the images are, and how they are shown."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.spec.base import Positive, Share, Spec
from components.spec.source import Source


class Captions(Spec):
    """How captions are read and changed from step to step; what changes cannot be encoded once for all."""

    caption_extension: Literal[".txt", ".caption"] = ".txt"
    """What a caption's file ends in, beside its image."""
    class_tokens: str = ""
    """Caption of images that have none."""
    keep_tokens: Annotated[int, Field(ge=0)] = 0
    """Caption tags at the front that shuffling leaves in place."""
    shuffle_caption: bool = False
    """Put the tags of a caption, between commas, in another order each time."""
    caption_dropout: Share = 0
    """Share of steps that see an image without its caption."""
    tag_dropout: Share = 0
    """Share of tags that are left out in each step."""
    flip_aug: bool = False
    """Mirror images at random; not for faces, text or anything with a left and a right."""


def _inside(folder: str) -> str:
    if folder.startswith("/") or ".." in folder.split("/"):
        raise ValueError(f"must be a folder within the dataset; found {folder!r}")
    return folder


class Subset(Captions):
    """One folder of a dataset; what is left out here is as the dataset says."""

    folder: Annotated[str, Field(pattern=r"^[^\n]+$"), AfterValidator(_inside)]
    """Within the dataset; its own subfolders are not looked into."""
    repeats: Positive = 1
    """How often an epoch sees each image."""
    regularisation: bool = False
    """Images of the class in general, repeated or cut to as many as the others: they double the steps."""


class Dataset(Source, Captions):
    """Images with captions, each beside its caption of the same stem.

    Without `subsets`, a folder on this computer is taken as it lies: images, `10_name` folders (10 repeats,
    class tokens `name`), or the guide's `images/` with `reg_images/`.
    """

    repeats: Positive | None = None
    """How often an epoch sees each image, where no folder's name says it. Left out: from their number."""
    subsets: tuple[Subset, ...] = ()
    """The folders to train on, one by one."""

    @model_validator(mode="before")
    @classmethod
    def _subsets_inherit(cls, value: object) -> object:
        """Lay each subset over the dataset's own captions."""
        if not (isinstance(value, dict) and isinstance(value.get("subsets"), list | tuple)):
            return value
        own = {name: value[name] for name in Captions.model_fields if name in value}
        subsets = [{**own, **each} if isinstance(each, dict) else each for each in value["subsets"]]
        return {**value, "subsets": subsets}

    @model_validator(mode="after")
    def _subsets(self) -> Self:
        if self.subsets and self.repeats is not None:
            raise ValueError("give repeats in each of the subsets, not beside them")
        folders = [subset.folder.strip("/") for subset in self.subsets]
        if twice := {folder for folder in folders if folders.count(folder) > 1}:
            raise ValueError(
                f"subsets name {', '.join(sorted(twice))} twice, and sd-scripts ignores the second"
            )
        if self.subsets and all(subset.regularisation for subset in self.subsets):
            raise ValueError("every subset is regularisation: nothing is left to learn from")
        return self
