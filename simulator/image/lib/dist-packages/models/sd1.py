"""The tensors of Stable Diffusion 1, as far as needed: what a LoRA adapts, what a checkpoint names."""

from __future__ import annotations

from models import sdxl

_CONTEXT = 768


def checkpoint() -> sdxl.Tensors:
    """Return the text encoder and the autoencoder of a checkpoint; the U-Net only where it begins."""
    text = {f"cond_stage_model.transformer.{name}": shape for name, shape in sdxl.text_encoder_1().items()}
    vae = {f"first_stage_model.{name}": shape for name, shape in sdxl.vae().items()}
    return {**text, **vae, "model.diffusion_model.input_blocks.0.0.bias": (320,)}


def lora_modules() -> dict[str, tuple[int, int]]:
    """Return `lora name: (inputs, outputs)`: 72 modules of the text encoder, 192 of the U-Net."""
    text = sdxl.lora_modules(text_encoders=True)
    found = {
        name.replace("lora_te1_", "lora_te_"): sides
        for name, sides in text.items()
        if name.startswith("lora_te1_")
    }
    places = [
        (f"down_blocks_{block}_attentions_{index}", 320 * 2**block)
        for block in range(3)
        for index in range(2)
    ]
    places.append(("mid_block_attentions_0", 1280))
    places += [
        (f"up_blocks_{block}_attentions_{index}", 320 * 2 ** (3 - block))
        for block in (1, 2, 3)
        for index in range(3)
    ]
    for place, width in places:
        at = f"lora_unet_{place}"
        found |= {f"{at}_proj_in": (width, width), f"{at}_proj_out": (width, width)}
        block = f"{at}_transformer_blocks_0"
        for number, context in ((1, width), (2, _CONTEXT)):
            attention = f"{block}_attn{number}"
            found |= {f"{attention}_to_q": (width, width), f"{attention}_to_out_0": (width, width)}
            found |= {f"{attention}_to_k": (context, width), f"{attention}_to_v": (context, width)}
        found |= {f"{block}_ff_net_0_proj": (width, 8 * width), f"{block}_ff_net_2": (4 * width, width)}
    return found
