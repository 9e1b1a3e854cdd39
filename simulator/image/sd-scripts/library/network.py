"""The LoRA: which modules it adapts, what its options refuse, and its weights as a file holds them.

Files are scaled down: of the modules only as many are written as fit into a few megabytes, each with its true
name and shapes. `size` tells what the whole would weigh.
"""

from __future__ import annotations

import importlib.util
import math
import random
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from models import safetensors, sd1, sdxl

from library.console import Failure, log, refuse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_FILE_LIMIT = 3_000_000
_SDXL_BLOCKS, _SD1_BLOCKS = 23, 25
_MODULES = ("networks.lora", "networks.lora_fa", "networks.dylora", "networks.oft")


class Network(NamedTuple):
    """A network: rank, alpha, the options after parsing, and `name: (inputs, outputs)` of what it adapts."""

    rank: int
    alpha: float
    options: dict[str, str]
    modules: dict[str, tuple[int, int]]

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return sum(self.rank * (inputs + outputs) for inputs, outputs in self.modules.values())


def create(args: argparse.Namespace, *, is_sdxl: bool) -> Network:
    """Create the network of the command line.

    Raises:
        Failure: no module, an option without `=`, lists of the wrong length.
    """
    _import_module(args.network_module)
    options = _options(args.network_args)
    rank = args.network_dim if args.network_dim is not None else 4
    alpha = args.network_alpha if args.network_alpha is not None else 1.0
    if args.dim_from_weights:
        rank = _rank_of(args.network_weights)
        log("lora_from_weights")
    elif "block_dims" in options:
        _check_blocks(options, _SDXL_BLOCKS if is_sdxl else _SD1_BLOCKS)
        log("lora_blocks")
    else:
        log("lora", dim=rank, alpha=alpha)
    log(
        "lora_dropout",
        neuron=args.network_dropout,
        rank=_number(options.get("rank_dropout")),
        module=_number(options.get("module_dropout")),
    )
    if "conv_dim" in options:
        log("lora_conv", dim=options["conv_dim"], alpha=float(options.get("conv_alpha", 1.0)))
    everything = sdxl.lora_modules(text_encoders=True) if is_sdxl else sd1.lora_modules()
    text = {name: sides for name, sides in everything.items() if name.startswith("lora_te")}
    unet = {name: sides for name, sides in everything.items() if name.startswith("lora_unet")}
    for index in (1, 2) if is_sdxl else ():
        log("lora_te_number", index=index)
    log("lora_te", count=len(text))
    log("lora_unet", count=len(unet))
    modules: dict[str, tuple[int, int]] = {}
    if not args.network_train_unet_only:
        log("lora_te_enabled", count=len(text))
        modules |= text
    if not args.network_train_text_encoder_only:
        log("lora_unet_enabled", count=len(unet))
        modules |= unet
    return Network(rank, alpha, options, modules)


def _import_module(name: str | None) -> None:
    if name is None:
        refuse("no_network_module")
    package = name.partition(".")[0]
    ours = package == "networks"
    if not (name in _MODULES if ours else importlib.util.find_spec(package)):
        raise Failure("ModuleNotFoundError", f"No module named '{name if ours else package}'")


def _options(items: list[str] | None) -> dict[str, str]:
    options = {}
    for item in items or []:
        key, equals, value = item.partition("=")
        if not equals:
            raise Failure("ValueError", "not enough values to unpack (expected 2, got 1)")
        options[key] = value
    return options


def written(network: Network, width: int) -> dict[str, tuple[int, ...]]:
    """Return the tensors that a file of the network holds, `width` bytes for each number."""
    shapes: dict[str, tuple[int, ...]] = {}
    size = 0
    # from the middle of the network outwards in both halves: text encoder and U-Net are both there
    for name, (inputs, outputs) in _spread(network.modules):
        size += network.rank * (inputs + outputs) * width
        if size > _FILE_LIMIT and shapes:
            break
        shapes[f"{name}.alpha"] = ()
        shapes[f"{name}.lora_down.weight"] = (network.rank, inputs)
        shapes[f"{name}.lora_up.weight"] = (outputs, network.rank)
    return dict(sorted(shapes.items()))


def weights(shapes: dict[str, tuple[int, ...]], alpha: float, seed: int, dtype: str) -> Iterator[bytes]:
    """Yield the bytes of each tensor: numbers of the right size, the same for the same seed."""
    rng = random.Random(seed)
    block = [rng.gauss(0, 0.02) for _ in range(4096)]
    for name, shape in shapes.items():
        count = math.prod(shape)
        values = [alpha] if name.endswith(".alpha") else block
        pattern = _packed(values, dtype)
        start = rng.randrange(len(values)) * safetensors.SIZES[dtype] if count > 1 else 0
        turned = pattern[start:] + pattern[:start]
        need = safetensors.nbytes(shape, dtype)
        yield (turned * (need // len(turned) + 1))[:need]


def _packed(values: list[float], dtype: str) -> bytes:
    if dtype == "BF16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{'e' if dtype == 'F16' else 'f'}", *values)


def _spread(modules: dict[str, tuple[int, int]]) -> list[tuple[str, tuple[int, int]]]:
    names = sorted(modules)
    step = max(1, len(names) // 12)
    order = [name for start in range(step) for name in names[start::step]]
    return [(name, modules[name]) for name in order]


def _rank_of(path: str | None) -> int:
    if path is None:
        raise Failure("TypeError", "expected str, bytes or os.PathLike object, not NoneType")
    header = safetensors.read_header(Path(path))
    return next(int(entry["shape"][0]) for name, entry in header.items() if name.endswith("lora_down.weight"))


def _check_blocks(options: dict[str, str], blocks: int) -> None:
    dims = options["block_dims"].split(",")
    if len(dims) != blocks:
        refuse("block_dims", blocks=blocks, count=len(dims))
    alphas = options.get("block_alphas")
    if alphas is not None and len(alphas.split(",")) != blocks:
        refuse("block_alphas", blocks=blocks)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
