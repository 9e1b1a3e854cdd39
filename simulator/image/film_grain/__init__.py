"""Film grain: one node, which lays seeded noise over images. A pack as ComfyUI loads them."""

from random import Random
from typing import Any, ClassVar

from PIL import Image


class FilmGrain:
    """Noise of a strength from 0 to 1."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "apply"
    CATEGORY = "image/postprocessing"
    _RANGES: ClassVar[dict[str, Any]] = {
        "strength": ("FLOAT", {"default": 0.1, "min": 0.0, "max": 1.0, "step": 0.01}),
        "seed": ("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF}),
    }

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        """Return the inputs."""
        return {"required": {"images": ("IMAGE",), **cls._RANGES}}

    def apply(self, images: list[Image.Image], strength: float, seed: int) -> tuple[list[Image.Image]]:
        """Return the images with grain."""
        return ([self._grained(image, strength, seed + index) for index, image in enumerate(images)],)

    @staticmethod
    def _grained(image: Image.Image, strength: float, seed: int) -> Image.Image:
        noise = Image.frombytes("L", image.size, Random(seed).randbytes(image.width * image.height))
        return Image.blend(image, noise.convert("RGB"), strength)


NODE_CLASS_MAPPINGS = {"FilmGrain": FilmGrain}
NODE_DISPLAY_NAME_MAPPINGS = {"FilmGrain": "Film grain"}
