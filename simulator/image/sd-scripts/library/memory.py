"""What a training holds in GPU and host memory, in bytes, and whether it fits.

Weights, gradients and optimizer states follow from parameter counts. What activations take is fitted to what
users report: 8 to 10 GB for a LoRA of rank 32 at batch 1, 10 GB for bf16 full fine-tuning with fused
Adafactor, 24 GB for the same unfused in mixed precision, 8 to 12 GB per image without checkpointing.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NamedTuple

from hardware import clock, gpu
from hardware.facts import machine

from library import speed
from library.console import Failure

if TYPE_CHECKING:
    import argparse

_GB = 1e9
_UNET, _TEXT, _VAE = 2.567e9, 0.818e9, 0.084e9  # parameters of SDXL
_SD1 = 0.33  # U-Net, text encoder and activations of SD1, as a share of SDXL's
_CONTEXT = 0.7 * _GB  # CUDA and its kernels
_USABLE = 0.988  # of the card: the driver keeps the rest
_LORA_PER_RANK = {False: 2.66e6, True: 3.56e6}  # parameters, U-Net only and with both text encoders

# optimizer -> bytes of state per trained parameter, in fp32 training
_STATES = {
    "adamw": 8, "adamw8bit": 2, "pagedadamw": 0, "pagedadamw8bit": 0, "pagedadamw32bit": 0, "lion": 4,
    "lion8bit": 1, "pagedlion8bit": 0, "sgdnesterov": 4, "sgdnesterov8bit": 1, "adafactor": 0.05,
    "prodigy": 16, "dadaptation": 16, "dadaptadam": 16, "dadaptlion": 12, "adamwschedulefree": 8,
    "radamschedulefree": 8,
}  # fmt: skip


_held: dict[int, float] = {}  # bytes by utilization: what the present kind of work has taken


class Demand(NamedTuple):
    """What a training keeps on each GPU, in bytes.

    Attributes:
        weights: everything that is there before the first step, the CUDA context included.
        gradients: of the trained parameters, with the copy that data parallelism makes.
        states: of the optimizer, from the end of the first step on.
        fixed: activations of a step whatever its batch.
        per_image: activations of one image of 1024 x 1024 pixels.
    """

    weights: float
    gradients: float
    states: float
    fixed: float
    per_image: float

    def peak(self, batch: int, pixels: float, *, first: bool) -> float:
        """Return the most that a step over `batch` images needs; the first has no optimizer states yet."""
        activations = self.fixed + self.per_image * batch * pixels / 1024**2
        return self.weights + self.gradients + activations + (0 if first else self.states)


def demand(
    args: argparse.Namespace, *, full: bool, trains_text: bool, rank: int, processes: int, sdxl: bool = True
) -> Demand:
    """Add up what a training needs."""
    scale = 1.0 if sdxl else _SD1
    half = args.mixed_precision != "no"
    lean = bool(args.full_bf16 or args.full_fp16)
    cached_text = getattr(args, "cache_text_encoder_outputs", False)
    fused = full and (args.fused_backward_pass or bool(getattr(args, "fused_optimizer_groups", None)))
    width = 2 if lean else 4
    if full:
        trained = scale * (_UNET + (_TEXT if trains_text else 0))
        weights = width * trained
    else:
        trained = rank * _LORA_PER_RANK[trains_text]
        base = 1 if args.fp8_base or args.fp8_base_unet else 2 if half else 4
        weights = base * scale * _UNET + width * trained
    if not cached_text and not (full and trains_text):
        weights += (2 if half else 4) * scale * _TEXT
    if not args.cache_latents:
        weights += (4 if args.no_half_vae or not half else 2) * _VAE
    gradients = 0.1 * width * trained if fused else width * trained
    if processes > 1 and not args.ddp_gradient_as_bucket_view:
        gradients += width * trained
    states = _state_bytes(args, lean=lean) * trained
    fixed, per_image = (2.2, 1.0 if lean else 1.6) if full else (1.0, 1.0)
    if not args.gradient_checkpointing:
        fixed, per_image = 0.6, 12.0 if full else 9.0
    per_image *= {"plain": 2.2, "mem_eff": 1.05}.get(speed.attention(args), 1.0) * (1 if half else 1.9)
    per_image += 0.6 if trains_text else 0.0
    return Demand(_CONTEXT + weights, gradients, states, fixed * scale * _GB, per_image * scale * _GB)


def _state_bytes(args: argparse.Namespace, *, lean: bool) -> float:
    """Return the optimizer's bytes per trained parameter; half where the parameters are 16 bits wide."""
    if args.use_8bit_adam:
        name = "adamw8bit"
    else:
        name = "lion" if args.use_lion_optimizer else (args.optimizer_type or "adamw").lower()
    return _STATES.get(name, 8) * (0.5 if lean and "8bit" not in name else 1)


def caching_latents(args: argparse.Namespace, pixels: int) -> float:
    """Return what encoding images by the VAE needs; the U-Net is not on the GPU yet."""
    width = 4 if args.no_half_vae or args.mixed_precision == "no" else 2
    activations: float = 1.3 * _GB * width * args.vae_batch_size * pixels / 1024**2
    return _CONTEXT + width * _VAE + activations


def preview(keeps: float, width: int, height: int) -> float:
    """Return what drawing a sample needs beside what the training keeps: VAE, text encoders, the decoding."""
    return keeps + 4 * (_VAE + _TEXT) + 4.5 * _GB * width * height / 1024**2


def require(needed: float, processes: int, utilization: int) -> None:
    """Take so many bytes on each GPU, or fail as CUDA does.

    As long as the work keeps the GPU equally busy, memory once taken is kept, as torch's allocator keeps it.

    Raises:
        Failure: the card has less.
    """
    if needed <= _held.get(utilization, 0.0):
        return
    indexes = _visible()[:processes]
    users = [user for user in gpu.processes() if user.pid != os.getpid()]
    for index in indexes:
        total = machine().gpus[index].memory_mib * 2**20 * _USABLE
        others = sum(user.memory_mib.get(index, 0) for user in users) * 2**20
        if needed > total - others:
            raise Failure("torch.OutOfMemoryError", _out_of_memory(index, total, others))
    gpu.occupy(dict.fromkeys(indexes, int(needed / 2**20)), utilization)
    _held.clear()
    _held[utilization] = needed


def _visible() -> list[int]:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return [int(index) for index in chosen.split(",")] if chosen else list(range(len(machine().gpus)))


def require_host(needed: float) -> None:
    """Take so many bytes of host memory, or be killed as the kernel kills."""
    if needed > machine().ram_mib * 2**20:
        clock.sleep(3)
        os.kill(os.getpid(), signal.SIGKILL)


def host_for_loading(args: argparse.Namespace) -> float:
    """Return the host memory that loading an SDXL checkpoint takes; `--lowram` loads onto the GPU."""
    if args.lowram:
        return 5 * _GB
    lean = args.full_bf16 or args.full_fp16
    return 1.5 * _GB + 4 * (_TEXT + _VAE) + (2 if lean else 4) * _UNET


def host_for_saving(args: argparse.Namespace) -> float:
    """Return the host memory that saving a full checkpoint takes: a copy of everything."""
    width = 4 if args.save_precision in {None, "float"} else 2
    return 5 * _GB + width * (_UNET + _TEXT + _VAE)


def _out_of_memory(index: int, total: float, others: float) -> str:
    gib = 2**30
    in_use = total - others - 21 * 2**20
    return (
        f"CUDA out of memory. Tried to allocate 50.00 MiB. GPU {index} has a total capacity of "
        f"{total / gib:.2f} GiB of "
        "which 21.06 MiB is free. Including non-PyTorch memory, this process has "
        f"{in_use / gib:.2f} GiB memory in use. Of "
        f"the allocated memory {(in_use - _CONTEXT) / gib:.2f} GiB is allocated by PyTorch, "
        "and 212.45 MiB is reserved by "
        "PyTorch but unallocated. If reserved but unallocated memory is large try setting "
        "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See "
        "documentation for Memory Management  "
        "(https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)"
    )
