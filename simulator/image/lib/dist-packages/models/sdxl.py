"""The tensors of SDXL: names and shapes of a checkpoint, and the modules that a LoRA adapts.

Derived from the architecture (sgm's `sd_xl_base.yaml`, CLIP ViT-L, OpenCLIP bigG, the KL autoencoder), so
that the parts add up to the published parameter counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Shape = tuple[int, ...]
Tensors = dict[str, Shape]

_WIDTH = 320
_CONTEXT = 2048
_TIME = 1280
# (channels, transformer layers) of the three levels
_LEVELS = ((_WIDTH, 0), (2 * _WIDTH, 2), (4 * _WIDTH, 10))


def checkpoint() -> Tensors:
    """Return every tensor of `sd_xl_base_1.0.safetensors`."""
    parts = {
        "conditioner.embedders.0.transformer.": text_encoder_1(),
        "conditioner.embedders.1.model.": text_encoder_2(),
        "first_stage_model.": vae(),
        "model.diffusion_model.": unet(),
    }
    return {prefix + name: shape for prefix, part in parts.items() for name, shape in part.items()}


def unet() -> Tensors:
    """Return the U-Net: 2,567,463,684 parameters."""
    return dict(_unet())


def lora_modules(*, text_encoders: bool) -> dict[str, tuple[int, int]]:
    """Return `lora name: (inputs, outputs)` of each linear layer that networks.lora adapts."""
    found = {}
    if text_encoders:
        for index, (width, layers) in ((1, (768, 12)), (2, (1280, 32))):
            for name, sides in _clip_linears(width, layers):
                found[f"lora_te{index}_text_model_encoder_" + name.replace(".", "_")] = sides
    for name, shape in _unet():
        if _in_transformer(name) and name.endswith(".weight") and len(shape) == 2:
            outputs, inputs = shape
            found["lora_unet_" + name.removesuffix(".weight").replace(".", "_")] = (inputs, outputs)
    return found


def text_encoder_1() -> Tensors:
    """Return CLIP ViT-L as transformers names it: 123,060,480 parameters and the position ids."""
    tensors: Tensors = {
        "text_model.embeddings.position_embedding.weight": (77, 768),
        "text_model.embeddings.position_ids": (1, 77),
        "text_model.embeddings.token_embedding.weight": (49408, 768),
    }
    for layer in range(12):
        at = f"text_model.encoder.layers.{layer}."
        for norm in ("layer_norm1", "layer_norm2"):
            tensors |= _affine(at + norm, (768,))
        for name, (inputs, outputs) in _clip_linears(768, 1):
            tensors |= _affine(at + name.removeprefix("layers.0."), (outputs, inputs))
    return tensors | _affine("text_model.final_layer_norm", (768,))


def text_encoder_2() -> Tensors:
    """Return OpenCLIP bigG as open_clip names it: 694,659,841 parameters."""
    tensors: Tensors = _affine("ln_final", (1280,))
    tensors |= {"logit_scale": (), "positional_embedding": (77, 1280), "text_projection": (1280, 1280)}
    tensors["token_embedding.weight"] = (49408, 1280)
    for layer in range(32):
        at = f"transformer.resblocks.{layer}."
        tensors |= {at + "attn.in_proj_bias": (3840,), at + "attn.in_proj_weight": (3840, 1280)}
        tensors |= _affine(at + "attn.out_proj", (1280, 1280))
        tensors |= _affine(at + "ln_1", (1280,)) | _affine(at + "ln_2", (1280,))
        tensors |= _affine(at + "mlp.c_fc", (5120, 1280)) | _affine(at + "mlp.c_proj", (1280, 5120))
    return tensors


def vae() -> Tensors:
    """Return the autoencoder: 83,653,863 parameters."""
    tensors: Tensors = {}
    for side, ends in (("encoder", (3, 8)), ("decoder", (4, 3))):
        order = (128, 256, 512, 512) if side == "encoder" else (512, 512, 256, 128)
        first, last = order[0], order[-1]
        tensors |= _affine(f"{side}.conv_in", (first, ends[0], 3, 3))
        tensors |= _affine(f"{side}.conv_out", (ends[1], last, 3, 3)) | _affine(f"{side}.norm_out", (last,))
        for block in (1, 2):
            tensors |= _vae_block(f"{side}.mid.block_{block}", 512, 512)
        for name in ("q", "k", "v", "proj_out"):
            tensors |= _affine(f"{side}.mid.attn_1.{name}", (512, 512, 1, 1))
        tensors |= _affine(f"{side}.mid.attn_1.norm", (512,))
        before = first
        for level, width in enumerate(order):
            at = f"{side}.down.{level}" if side == "encoder" else f"{side}.up.{3 - level}"
            for block in range(2 if side == "encoder" else 3):
                tensors |= _vae_block(f"{at}.block.{block}", before, width)
                before = width
            if level < 3:
                way = "downsample" if side == "encoder" else "upsample"
                tensors |= _affine(f"{at}.{way}.conv", (width, width, 3, 3))
    return tensors | _affine("quant_conv", (8, 8, 1, 1)) | _affine("post_quant_conv", (4, 4, 1, 1))


def _affine(name: str, shape: Shape) -> Tensors:
    return {f"{name}.bias": shape[:1], f"{name}.weight": shape}


def _vae_block(at: str, inputs: int, outputs: int) -> Tensors:
    tensors = _affine(f"{at}.norm1", (inputs,)) | _affine(f"{at}.conv1", (outputs, inputs, 3, 3))
    tensors |= _affine(f"{at}.norm2", (outputs,)) | _affine(f"{at}.conv2", (outputs, outputs, 3, 3))
    return tensors | (_affine(f"{at}.nin_shortcut", (outputs, inputs, 1, 1)) if inputs != outputs else {})


def _clip_linears(width: int, layers: int) -> Iterator[tuple[str, tuple[int, int]]]:
    for layer in range(layers):
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield f"layers.{layer}.self_attn.{name}", (width, width)
        yield f"layers.{layer}.mlp.fc1", (width, 4 * width)
        yield f"layers.{layer}.mlp.fc2", (4 * width, width)


def _in_transformer(name: str) -> bool:
    return ".transformer_blocks." in name or ".proj_in." in name or ".proj_out." in name


def _unet() -> Iterator[tuple[str, Shape]]:
    for name, inputs in (("time_embed.0", _WIDTH), ("time_embed.2", _TIME), ("label_emb.0.0", 2816)):
        yield from _affine(name, (_TIME, inputs)).items()
    yield from _affine("label_emb.0.2", (_TIME, _TIME)).items()
    yield from _affine("input_blocks.0.0", (_WIDTH, 4, 3, 3)).items()
    skips = [_WIDTH]
    width, index = _WIDTH, 1
    for level, (channels, depth) in enumerate(_LEVELS):
        for _ in range(2):
            yield from _resnet(f"input_blocks.{index}.0", width, channels)
            yield from _transformer(f"input_blocks.{index}.1", channels, depth)
            width = channels
            skips.append(width)
            index += 1
        if level < 2:
            yield from _affine(f"input_blocks.{index}.0.op", (width, width, 3, 3)).items()
            skips.append(width)
            index += 1
    yield from _resnet("middle_block.0", width, width)
    yield from _transformer("middle_block.1", width, 10)
    yield from _resnet("middle_block.2", width, width)
    index = 0
    for level, (channels, depth) in reversed(list(enumerate(_LEVELS))):
        for block in range(3):
            yield from _resnet(f"output_blocks.{index}.0", width + skips.pop(), channels)
            yield from _transformer(f"output_blocks.{index}.1", channels, depth)
            width = channels
            if level and block == 2:
                yield from _affine(f"output_blocks.{index}.2.conv", (width, width, 3, 3)).items()
            index += 1
    yield from _affine("out.0", (_WIDTH,)).items()
    yield from _affine("out.2", (4, _WIDTH, 3, 3)).items()


def _resnet(at: str, inputs: int, outputs: int) -> Iterator[tuple[str, Shape]]:
    yield from _affine(f"{at}.in_layers.0", (inputs,)).items()
    yield from _affine(f"{at}.in_layers.2", (outputs, inputs, 3, 3)).items()
    yield from _affine(f"{at}.emb_layers.1", (outputs, _TIME)).items()
    yield from _affine(f"{at}.out_layers.0", (outputs,)).items()
    yield from _affine(f"{at}.out_layers.3", (outputs, outputs, 3, 3)).items()
    if inputs != outputs:
        yield from _affine(f"{at}.skip_connection", (outputs, inputs, 1, 1)).items()


def _transformer(at: str, width: int, depth: int) -> Iterator[tuple[str, Shape]]:
    if not depth:
        return
    yield from _affine(f"{at}.norm", (width,)).items()
    yield from _affine(f"{at}.proj_in", (width, width)).items()
    for layer in range(depth):
        block = f"{at}.transformer_blocks.{layer}"
        for number, context in ((1, width), (2, _CONTEXT)):
            attention = f"{block}.attn{number}"
            yield f"{attention}.to_q.weight", (width, width)
            yield f"{attention}.to_k.weight", (width, context)
            yield f"{attention}.to_v.weight", (width, context)
            yield from _affine(f"{attention}.to_out.0", (width, width)).items()
        yield from _affine(f"{block}.ff.net.0.proj", (8 * width, width)).items()
        yield from _affine(f"{block}.ff.net.2", (width, 4 * width)).items()
        for norm in (1, 2, 3):
            yield from _affine(f"{block}.norm{norm}", (width,)).items()
    yield from _affine(f"{at}.proj_out", (width, width)).items()
