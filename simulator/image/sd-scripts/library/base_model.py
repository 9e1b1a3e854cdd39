"""The model that training starts from: which file it is, what it is made of, how long it loads.

Weights are never read: the header tells the architecture.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hardware import clock, link
from models import catalog, safetensors

from library import memory, speed
from library.console import Failure, log

if TYPE_CHECKING:
    import argparse

_KNOWN_REPOSITORIES = {
    "stabilityai/stable-diffusion-xl-base-1.0": ("sdxl", 6_940_000_000),
    "stable-diffusion-v1-5/stable-diffusion-v1-5": ("sd1", 2_750_000_000),
}


class BaseModel(NamedTuple):
    """A loaded model: bytes of its file (0 for a folder), whether its VAE overflows in fp16."""

    path: str
    size: int
    stock_vae: bool


def load(args: argparse.Namespace, *, sdxl: bool, rank: int, world: int) -> BaseModel:
    """Load the model of the command line for a trainer of SDXL or of SD1.

    Raises:
        Failure: no such model, a damaged file, another architecture.
    """
    log("loading_model", rank=rank, world=world)
    given = args.pretrained_model_name_or_path
    if given is None:
        raise Failure(
            "TypeError", "lstat: path should be string, bytes, os.PathLike or integer, not NoneType"
        )
    path = str(Path(given).resolve()) if Path(given).is_symlink() else given
    memory.require_host(memory.host_for_loading(args))
    if not Path(path).is_file():
        _load_folder_or_repository(args, path, sdxl=sdxl)
        size = 0
    else:
        log("loading_checkpoint", path=path)
        size = Path(path).stat().st_size
        _load_file(path, size, sdxl=sdxl)
    stock = not args.vae
    if args.vae:
        vae = Path(args.vae)
        known = catalog.recognise(vae) if vae.is_file() else None
        if known is None and not vae.exists():
            raise Failure("OSError", f"{args.vae} is not a local folder and is not a valid model identifier")
        stock = known is not None and known.name == "sdxl_vae.safetensors"
        log("extra_vae")
    return BaseModel(path, size, stock)


def digests(path: Path) -> tuple[str, str]:
    """Return the old short hash and the sha256 that the metadata names.

    Known files have their published digest; of another file larger than 64 MB only the header is digested.
    """
    known = catalog.recognise(path)
    if known:
        return known.sha256[:8], known.sha256
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(64_000_000)).hexdigest()
        file.seek(0x100000)
        return hashlib.sha256(file.read(0x10000)).hexdigest()[:8], digest


def _load_file(path: str, size: int, *, sdxl: bool) -> None:
    if not path.endswith(".safetensors"):
        clock.sleep(2)
        raise Failure(
            "_pickle.UnpicklingError",
            "Weights only load failed. Re-running `torch.load` with `weights_only` set to "
            "`False` will likely succeed, but "
            "it can result in arbitrary code execution.",
        )
    try:
        names = safetensors.read_header(Path(path)).keys()
    except safetensors.SafetensorError as error:
        raise Failure("safetensors_rust.SafetensorError", str(error)) from None
    if sdxl:
        log("building_unet")
        log("loading_unet")
    clock.sleep(speed.load(size) * 0.7)
    is_sdxl = any(name.startswith("conditioner.embedders.1.") for name in names)
    if sdxl and not is_sdxl:
        raise Failure(
            "RuntimeError",
            "Error(s) in loading state_dict for SdxlUNet2DConditionModel:\n\tMissing key(s) in state_dict: "
            '"label_emb.0.0.weight", "label_emb.0.0.bias", "label_emb.0.2.weight", "label_emb.0.2.bias". ',
        )
    if not sdxl and is_sdxl:
        raise Failure(
            "RuntimeError",
            "Error(s) in loading state_dict for UNet2DConditionModel:\n\tMissing key(s) in state_dict: "
            '"down_blocks.0.attentions.0.norm.weight", "down_blocks.0.attentions.0.norm.bias", '
            '"down_blocks.0.attentions.0.proj_in.weight". ',
        )
    if sdxl:
        log("unet_loaded")
        for key in ("building_te", "loading_te", "te1_loaded", "te2_loaded", "building_vae", "loading_vae"):
            log(key)
    clock.sleep(speed.load(size) * 0.3)
    if sdxl:
        log("vae_loaded")


def _load_folder_or_repository(args: argparse.Namespace, path: str, *, sdxl: bool) -> None:
    variant = "fp16" if args.mixed_precision == "fp16" else None
    log("loading_diffusers", path=path, variant=variant)
    if (Path(path) / "model_index.json").is_file():
        clock.sleep(speed.load(7_000_000_000))
    elif path in _KNOWN_REPOSITORIES and (_KNOWN_REPOSITORIES[path][0] == "sdxl") == sdxl:
        for _ in link.arriving(_KNOWN_REPOSITORIES[path][1] * (1 if variant else 2)):
            pass
        clock.sleep(speed.load(7_000_000_000))
    elif path.count("/") != 1 or path.startswith(("/", ".")):
        raise Failure(
            "huggingface_hub.errors.HFValidationError",
            f"Repo id must be in the form 'repo_name' or 'namespace/repo_name': '{path}'. Use "
            "`repo_type` argument if needed.",
        )
    else:
        log("model_not_found", path=path)
        raise Failure(
            "OSError",
            f"{path} is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
        )
    log("unet_converted")
