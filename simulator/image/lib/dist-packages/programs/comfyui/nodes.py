"""What the node classes do: the ones that a diffusion workflow is made of.

Each gets the job it is part of and its inputs by name, and returns its outputs. Of every other class the
server knows the name, and fails when one is to run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from models import safetensors
from PIL import Image, ImageOps

from programs.comfyui import drawing, files, speed
from programs.comfyui.drawing import Scene
from programs.comfyui.sampling import Images, Latent, Weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from programs.comfyui.folders import Folders


class Job(Protocol):
    """The prompt that a node runs for."""

    folders: Folders
    metadata: dict[str, Any] | None
    previews: bool

    def progress(
        self, value: int, total: int, preview: Image.Image | None = None, form: str = "JPEG"
    ) -> None:
        """Tell how far the node is; ends it where the prompt was interrupted."""

    def log(self, text: str) -> None:
        """Write a line to the server's log."""


class Shown(list[dict[str, str]]):
    """What an output node shows instead of outputs: the files it wrote."""


def _read(job: Job, kind: str, name: str) -> dict[str, Any]:
    """Open a model file as the real loader does, and take its time."""
    path = job.folders.find(kind, name)
    if path is None:
        raise FileNotFoundError(f"Model in folder '{kind}' with filename '{name}' not found.")
    header = safetensors.read_header(path) if path.suffix in {".safetensors", ".sft"} else {}
    speed.load(path.stat().st_size)
    return header


def _checkpoint(job: Job, ckpt_name: str) -> tuple[Any, ...]:
    _read(job, "checkpoints", ckpt_name)
    job.log("model weight dtype torch.float16, manual cast: None\nmodel_type EPS")
    return Weights(ckpt_name), Weights(ckpt_name), ckpt_name


def _lora(
    job: Job, model: Weights, lora_name: str, strength_model: float,
    clip: Weights | None = None, strength_clip: float = 0.0,
) -> tuple[Any, ...]:  # fmt: skip
    if strength_model == 0 and strength_clip == 0:
        return model, clip
    for key in _read(job, "loras", lora_name):
        if key != "__metadata__" and not key.startswith(
            ("lora_unet_", "lora_te", "unet.", "diffusion_model.")
        ):
            job.log(f"lora key not loaded: {key}")
    return model.with_lora(lora_name, strength_model), clip and clip.with_lora(lora_name, strength_clip)


def _vae(job: Job, vae_name: str) -> tuple[Any, ...]:
    if vae_name != "pixel_space":
        _read(job, "vae", vae_name)
    return (vae_name,)


def _text(_: Job, clip: Weights, text: str) -> tuple[Any, ...]:
    speed.encode()
    return (f"{text}{''.join(f'|{name}:{strength}' for name, strength in clip.loras)}",)


def _text_sdxl(job: Job, clip: Weights, text_g: str, text_l: str, **_: Any) -> tuple[Any, ...]:
    return _text(job, clip, text_g if text_g == text_l else f"{text_g}\n{text_l}")


def _text_refiner(job: Job, clip: Weights, text: str, **_: Any) -> tuple[Any, ...]:
    return _text(job, clip, text)


def _empty_latent(_: Job, width: int, height: int, batch_size: int) -> tuple[Any, ...]:
    return (Latent(width // 8 * 8, height // 8 * 8, batch_size),)


def _sample(job: Job, latent: Latent, scene: Scene, steps: range, share: float) -> tuple[Any, ...]:
    speed.require(latent.width * latent.height, latent.batch)
    result = latent.sampled(scene, share)
    goal = rough = None
    if job.previews:
        goal = result.image(0)
        goal.thumbnail((512, 512))
        rough = drawing.noise(scene.seed, goal.size)
    for at, done in enumerate(steps, 1):
        speed.step(latent.width * latent.height, latent.batch, scene.sampler)
        shown = Image.blend(rough, goal, (done + 1) / scene.steps) if goal and rough else None
        job.progress(at, len(steps), shown)
    return (result,)


def _ksampler(
    job: Job, model: Weights, seed: int, steps: int, cfg: float, sampler_name: str, scheduler: str,
    positive: str, negative: str, latent_image: Latent, denoise: float,
) -> tuple[Any, ...]:  # fmt: skip
    scene = Scene(
        model.checkpoint, model.loras, positive, negative, seed, steps, cfg, f"{sampler_name} {scheduler}", 0
    )
    return _sample(job, latent_image, scene, range(steps), denoise)


def _ksampler_advanced(
    job: Job, model: Weights, noise_seed: int, steps: int, cfg: float, sampler_name: str, scheduler: str,
    positive: str, negative: str, latent_image: Latent, start_at_step: int, end_at_step: int, **_: str,
) -> tuple[Any, ...]:  # fmt: skip
    scene = Scene(
        model.checkpoint,
        model.loras,
        positive,
        negative,
        noise_seed,
        steps,
        cfg,
        f"{sampler_name} {scheduler}",
        0,
    )
    taken = range(min(start_at_step, steps), min(end_at_step, steps))
    begun = bool(latent_image.layers or latent_image.under)
    return _sample(job, latent_image, scene, taken, len(taken) / steps if begun else 1.0)


def _vae_decode(_: Job, samples: Latent, **__: Any) -> tuple[Any, ...]:
    speed.decode(samples.width * samples.height, samples.batch)
    return (samples.images(),)


def _vae_encode(_: Job, pixels: Images, **__: Any) -> tuple[Any, ...]:
    width, height = (side // 8 * 8 for side in pixels[0].size)
    speed.decode(width * height, len(pixels))
    return (Latent(width, height, len(pixels), tuple(pixels)),)


def _repeat(_: Job, samples: Latent, amount: int) -> tuple[Any, ...]:
    return (Latent(samples.width, samples.height, samples.batch * amount, samples.under, samples.layers),)


def _scale_latent_by(_: Job, samples: Latent, scale_by: float, **__: Any) -> tuple[Any, ...]:
    width, height = (int(side * scale_by) // 8 * 8 for side in (samples.width, samples.height))
    return (Latent(width, height, samples.batch, samples.under, samples.layers),)


def _scale_latent(_: Job, samples: Latent, width: int, height: int, **__: Any) -> tuple[Any, ...]:
    width, height = _sides((samples.width, samples.height), width, height)
    return (Latent(width // 8 * 8, height // 8 * 8, samples.batch, samples.under, samples.layers),)


def _load_image(job: Job, image: str) -> tuple[Any, ...]:
    loaded = ImageOps.exif_transpose(Image.open(job.folders.input / image))
    mask = ImageOps.invert(loaded.getchannel("A")) if "A" in loaded.getbands() else Image.new("L", (64, 64))
    return [loaded.convert("RGB")], [mask]


def _sides(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Return the new sides, where 0 keeps the shape."""
    if width == 0:
        width = max(1, round(size[0] * height / size[1])) if height else size[0]
    if height == 0:
        height = max(1, round(size[1] * width / size[0]))
    return width, height


_METHODS = {
    "nearest-exact": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS,
}  # fmt: skip


def _scale(_: Job, image: Images, upscale_method: str, width: int, height: int, crop: str) -> tuple[Any, ...]:
    size, method = _sides(image[0].size, width, height), _METHODS[upscale_method]
    fit = crop == "center"
    return ([ImageOps.fit(one, size, method) if fit else one.resize(size, method) for one in image],)


def _scale_by(_: Job, image: Images, upscale_method: str, scale_by: float) -> tuple[Any, ...]:
    size = (round(image[0].width * scale_by), round(image[0].height * scale_by))
    return ([one.resize(size, _METHODS[upscale_method]) for one in image],)


def _upscaler(job: Job, model_name: str) -> tuple[Any, ...]:
    _read(job, "upscale_models", model_name)
    return (model_name,)


def _upscale(job: Job, upscale_model: str, image: Images) -> tuple[Any, ...]:
    name = Path(upscale_model).name.lower()
    factor = next((n for n in (2, 3, 4, 8) if f"{n}x" in name or f"x{n}" in name), 4)
    speed.decode(image[0].width * image[0].height * factor, len(image))
    job.progress(1, 1)
    size = (image[0].width * factor, image[0].height * factor)
    return ([one.resize(size, Image.Resampling.LANCZOS) for one in image],)


def _empty_image(_: Job, width: int, height: int, batch_size: int, color: int) -> tuple[Any, ...]:
    rgb = (color >> 16 & 255, color >> 8 & 255, color & 255)
    return ([Image.new("RGB", (width, height), rgb)] * batch_size,)


def _save(job: Job, images: Images, filename_prefix: str) -> Shown:
    return Shown(files.save(images, filename_prefix, job.folders.output, "output", job.metadata))


def _preview(job: Job, images: Images) -> Shown:
    return Shown(files.save(images, files.temporary_prefix(), job.folders.temp, "temp", job.metadata))


def _save_to_socket(job: Job, images: Images) -> tuple[Any, ...]:
    for at, image in enumerate(images):
        job.progress(at, len(images), image, "PNG")
    return ()


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "CheckpointLoaderSimple": _checkpoint,
    "LoraLoader": _lora,
    "LoraLoaderModelOnly": lambda job, **inputs: _lora(job, **inputs)[:1],
    "VAELoader": _vae,
    "CLIPSetLastLayer": lambda _, clip, **__: (clip,),
    "CLIPTextEncode": _text,
    "CLIPTextEncodeSDXL": _text_sdxl,
    "CLIPTextEncodeSDXLRefiner": _text_refiner,
    "ConditioningCombine": lambda _, conditioning_1, conditioning_2: (f"{conditioning_1}+{conditioning_2}",),
    "ConditioningZeroOut": lambda *_, **__: ("",),
    "EmptyLatentImage": _empty_latent,
    "KSampler": _ksampler,
    "KSamplerAdvanced": _ksampler_advanced,
    "VAEDecode": _vae_decode,
    "VAEDecodeTiled": _vae_decode,
    "VAEEncode": _vae_encode,
    "VAEEncodeForInpaint": _vae_encode,
    "SetLatentNoiseMask": lambda _, samples, **__: (samples,),
    "RepeatLatentBatch": _repeat,
    "LatentUpscale": _scale_latent,
    "LatentUpscaleBy": _scale_latent_by,
    "LoadImage": _load_image,
    "ImageScale": _scale,
    "ImageScaleBy": _scale_by,
    "ImageInvert": lambda _, image: ([ImageOps.invert(one) for one in image],),
    "ImageBatch": lambda _, image1, image2: ([*image1, *image2],),
    "UpscaleModelLoader": _upscaler,
    "ImageUpscaleWithModel": _upscale,
    "EmptyImage": _empty_image,
    "SaveImage": _save,
    "PreviewImage": _preview,
    "SaveImageWebsocket": _save_to_socket,
}
