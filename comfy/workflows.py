"""The workflows that a set of models makes: SDXL from text, refined, from an image, upscaled; a person's own.

Pure: a request's parameters go in, a graph comes out. All that a request can say is in `comfy.parameters`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, model_validator

from comfy.custom import Custom, workflow
from comfy.graph import Builder
from comfy.parameters import (
    STRENGTH,
    ImageToImage,
    Limits,
    TextToImage,
    TextToImageRefined,
    Upscale,
    Workflow,
    seeded,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from comfy.graph import Graph, Link

__all__ = ["Custom", "Limits", "Models", "Workflow", "catalogue", "seeded"]

_REFINER_SCORES = (6.0, 2.5)
"""The aesthetic scores that SDXL's refiner is asked for, and asked to keep away from."""


class Models(BaseModel):
    """The model files that a ComfyUI has, each by its name in its folder.

    Attributes:
        checkpoint: SDXL's base, or one trained from it.
        refiner: SDXL's refiner.
        vae: used instead of the checkpoint's own.
        loras: the name that requests use -> file; they are applied in this order.
        upscaler: an ESRGAN or the like.
        lora_strengths: the strength of a LoRA where a request says nothing; 1 where this says nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: str
    refiner: str | None = None
    vae: str | None = None
    loras: dict[str, str] = {}
    upscaler: str | None = None
    lora_strengths: dict[str, float] = {}

    @model_validator(mode="after")
    def _strengths_are_of_loras(self) -> Self:
        for name, strength in self.lora_strengths.items():
            if name not in self.loras:
                raise ValueError(
                    f"lora_strengths names {name!r}, which loras does not: {', '.join(self.loras)}"
                )
            if not -STRENGTH <= strength <= STRENGTH:
                raise ValueError(
                    f"the strength of {name} is {strength:g}: from {-STRENGTH:g} to {STRENGTH:g} it may be"
                )
        return self


def catalogue(
    models: Models, limits: Limits | None = None, custom: Sequence[Custom] = ()
) -> dict[str, Workflow]:
    """Return the workflows by name; the first is what a request gets that names none.

    Raises:
        ValueError: two have one name, or a default of a custom one is beyond the limits.
    """
    limits = limits or Limits()
    strengths = {name: models.lora_strengths.get(name, 1.0) for name in models.loras}

    def built_in(name: str, description: str, kind: type[BaseModel], build: Callable[..., Graph]) -> Workflow:
        images = ("image",) if "image" in kind.model_fields else ()
        return Workflow(name, description, within(kind, limits, strengths), partial(build, models), images)

    found = [built_in("text-to-image", "An image from a text.", TextToImage, text_to_image)]
    if models.refiner:
        description = "An image from a text; SDXL's refiner makes the last steps."
        found.append(
            built_in("text-to-image-refined", description, TextToImageRefined, text_to_image_refined)
        )
    found.append(built_in("image-to-image", "An image changed by a text.", ImageToImage, image_to_image))
    if models.upscaler:
        found.append(built_in("upscale", "An image made larger by a model.", Upscale, upscale))
    found += (workflow(each, limits) for each in custom)
    names = [each.name for each in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two workflows are named {', '.join(sorted(twice))}: rename the custom one")
    return {each.name: each for each in found}


def text_to_image(models: Models, parameters: TextToImage, prefix: str) -> Graph:
    """Return SDXL's graph as in every tutorial, with the LoRAs behind the checkpoint."""
    graph = Builder()
    model, clip, vae = _load(graph, models, parameters)
    _sample(graph, parameters, prefix, model, clip, vae, _empty(graph, parameters), denoise=1.0)
    return graph.graph


def image_to_image(models: Models, parameters: ImageToImage, prefix: str) -> Graph:
    """Return the graph that starts from an image, scaled to the size asked for and cropped to its shape."""
    graph = Builder()
    model, clip, vae = _load(graph, models, parameters)
    image, _mask = graph.add("LoadImage", image=parameters.image)
    [image] = graph.add(
        "ImageScale",
        image=image,
        upscale_method="lanczos",
        width=parameters.width,
        height=parameters.height,
        crop="center",
    )
    [latent] = graph.add("VAEEncode", pixels=image, vae=vae)
    if parameters.batch > 1:
        [latent] = graph.add("RepeatLatentBatch", samples=latent, amount=parameters.batch)
    _sample(graph, parameters, prefix, model, clip, vae, latent, denoise=parameters.denoise)
    return graph.graph


def text_to_image_refined(models: Models, parameters: TextToImageRefined, prefix: str) -> Graph:
    """Return the graph in which the refiner takes over the base model's image while it is still noisy."""
    graph = Builder()
    model, clip, vae = _load(graph, models, parameters)
    refiner, refiner_clip, _vae = graph.add("CheckpointLoaderSimple", ckpt_name=models.refiner)
    texts = (parameters.prompt, parameters.negative_prompt)
    size = {"width": parameters.width, "height": parameters.height}
    refined = [
        graph.add("CLIPTextEncodeSDXLRefiner", ascore=score, **size, text=text, clip=refiner_clip)[0]
        for text, score in zip(texts, _REFINER_SCORES, strict=True)
    ]
    positive, negative = (graph.add("CLIPTextEncode", text=text, clip=clip)[0] for text in texts)
    over = max(1, min(round(parameters.steps * parameters.refine_at), parameters.steps - 1))
    common = {
        "noise_seed": parameters.seed,
        "steps": parameters.steps,
        "cfg": parameters.cfg,
        "sampler_name": parameters.sampler,
        "scheduler": parameters.scheduler,
    }
    [latent] = graph.add(
        "KSamplerAdvanced",
        model=model,
        **common,
        positive=positive,
        negative=negative,
        latent_image=_empty(graph, parameters),
        add_noise="enable",
        start_at_step=0,
        end_at_step=over,
        return_with_leftover_noise="enable",
    )
    [latent] = graph.add(
        "KSamplerAdvanced",
        model=refiner,
        **common,
        positive=refined[0],
        negative=refined[1],
        latent_image=latent,
        add_noise="disable",
        start_at_step=over,
        end_at_step=parameters.steps,
        return_with_leftover_noise="disable",
    )
    _save(graph, latent, vae, prefix)
    return graph.graph


def upscale(models: Models, parameters: Upscale, prefix: str) -> Graph:
    """Return the graph that makes an image larger, and then smaller where its sides are to be scaled."""
    graph = Builder()
    image, _mask = graph.add("LoadImage", image=parameters.image)
    [upscaler] = graph.add("UpscaleModelLoader", model_name=models.upscaler)
    [image] = graph.add("ImageUpscaleWithModel", upscale_model=upscaler, image=image)
    if parameters.scale < 1:
        [image] = graph.add("ImageScaleBy", image=image, upscale_method="lanczos", scale_by=parameters.scale)
    graph.add("SaveImage", images=image, filename_prefix=prefix)
    return graph.graph


def _load(graph: Builder, models: Models, parameters: TextToImage) -> tuple[Link, Link, Link]:
    """Add the checkpoint, the VAE and the LoRAs; return model, CLIP and VAE."""
    model, clip, vae = graph.add("CheckpointLoaderSimple", ckpt_name=models.checkpoint)
    if models.vae:
        [vae] = graph.add("VAELoader", vae_name=models.vae)
    for name, file in models.loras.items():
        if strength := parameters.loras.get(name):
            strengths = {"strength_model": strength, "strength_clip": strength}
            model, clip = graph.add("LoraLoader", model=model, clip=clip, lora_name=file, **strengths)
    return model, clip, vae


def _empty(graph: Builder, parameters: TextToImage) -> Link:
    size = {"width": parameters.width, "height": parameters.height}
    return graph.add("EmptyLatentImage", **size, batch_size=parameters.batch)[0]


def _sample(
    graph: Builder,
    parameters: TextToImage,
    prefix: str,
    model: Link,
    clip: Link,
    vae: Link,
    latent: Link,
    *,
    denoise: float,
) -> None:
    [positive] = graph.add("CLIPTextEncode", text=parameters.prompt, clip=clip)
    [negative] = graph.add("CLIPTextEncode", text=parameters.negative_prompt, clip=clip)
    [latent] = graph.add(
        "KSampler",
        model=model,
        seed=parameters.seed,
        steps=parameters.steps,
        cfg=parameters.cfg,
        sampler_name=parameters.sampler,
        scheduler=parameters.scheduler,
        positive=positive,
        negative=negative,
        latent_image=latent,
        denoise=denoise,
    )
    _save(graph, latent, vae, prefix)


def _save(graph: Builder, latent: Link, vae: Link, prefix: str) -> None:
    [images] = graph.add("VAEDecode", samples=latent, vae=vae)
    graph.add("SaveImage", images=images, filename_prefix=prefix)
