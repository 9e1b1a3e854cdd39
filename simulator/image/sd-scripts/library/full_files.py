"""What full fine-tuning writes: whole checkpoints, as one file or as a diffusers folder, and states."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hardware import clock
from models import safetensors

from library import checkpoint, memory, metadata, speed
from library import network as networks
from library.console import log
from library.state import Position, States

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from library.optimizer import Scheduler

_PARAMETERS = {True: 3.469e9, False: 1.066e9}  # of a whole checkpoint: SDXL, SD1


class FullFiles:
    """Writes when the loop says so.

    Attributes:
        states: the states beside the checkpoints.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        scheduler: Scheduler,
        rates: dict[str, float],
        *,
        sdxl: bool,
        state_size: float,
        from_file: bool,
    ) -> None:
        """Take what a state truly weighs, and whether the base model was one file, as the output then is."""
        self._args, self._sdxl = args, sdxl
        self._scheduler, self._rates = scheduler, rates
        form = args.save_model_as
        self._one_file = from_file if form is None else form in {"ckpt", "safetensors"}
        self._safe = args.use_safetensors or (form is not None and "safetensors" in form)
        self.states = States(
            args,
            full=True,
            loaders=1,
            true_size=state_size,
            write_model=lambda path: self._write(path, "F32", 0, {}),
        )

    def save_step(self, position: Position, epochs_done: int) -> None:
        """Save after a step."""
        args = self._args
        del epochs_done  # a checkpoint of SDXL does not tell
        self._save(checkpoint.step_name(args, position.step), position.step)
        expired = checkpoint.expired_step(args, position.step, args.save_last_n_steps)
        if expired is not None:
            self._remove(checkpoint.step_name(args, expired))
        if args.save_state:
            self.states.save_step(position, self._scheduler, self._rates)

    def save_epoch(self, position: Position) -> None:
        """Save after an epoch."""
        args = self._args
        self._save(checkpoint.epoch_name(args, position.epoch), position.step)
        expired = checkpoint.expired_epoch(args, position.epoch, args.save_last_n_epochs)
        if expired is not None:
            self._remove(checkpoint.epoch_name(args, expired))
        if args.save_state:
            self.states.save_epoch(position, self._scheduler, self._rates)

    def save_last(self, position: Position) -> None:
        """Save at the end of training: the state first, then the model."""
        args = self._args
        if args.save_state or args.save_state_on_train_end:
            self.states.save_last(position, self._scheduler, self._rates)
        path = self._path(checkpoint.last_name(args))
        log("saving_last" if self._one_file else "saving_last_diffusers", path=path)
        self._write_model(path, position.step)

    def _save(self, name: str, step: int) -> None:
        path = self._path(name)
        log("blank", line=5888 if self._one_file else 5913)
        log("saving_checkpoint" if self._one_file else "saving_diffusers", path=path)
        self._write_model(path, step)

    def _path(self, name: str) -> Path:
        suffix = (".safetensors" if self._safe else ".ckpt") if self._one_file else ""
        return checkpoint.folder(self._args) / (name + suffix)

    def _write_model(self, path: Path, step: int) -> None:
        memory.require_host(memory.host_for_saving(self._args))
        about = metadata.modelspec(self._args, sdxl=self._sdxl, lora=False)
        dtype = checkpoint.DTYPES[self._args.save_precision]
        if self._one_file:
            self._write(path, dtype, step, about)
            return
        unet = path / "unet"
        unet.mkdir(parents=True, exist_ok=True)
        name = "StableDiffusionXLPipeline" if self._sdxl else "StableDiffusionPipeline"
        index = json.dumps({"_class_name": name, "_diffusers_version": "0.32.1"})
        (path / "model_index.json").write_text(index, encoding="utf-8")
        self._write(unet / "diffusion_pytorch_model.safetensors", dtype, step, {"format": "pt"})

    def _write(self, path: Path, dtype: str, step: int, about: dict[str, str]) -> None:
        shapes = checkpoint.full_shapes(sdxl=self._sdxl)
        tensors = b"".join(networks.weights(shapes, 1.0, (self._args.seed or 0) + step, dtype))
        size = _PARAMETERS[self._sdxl] * safetensors.SIZES[dtype]
        if path.suffix == ".ckpt":
            clock.sleep(speed.save(size))
            path.write_bytes(b"PK\x03\x04" + tensors)
            return
        checkpoint.write(path, shapes, dtype, about or {"format": "pt"}, tensors, size)

    def _remove(self, name: str) -> None:
        path = self._path(name)
        if path.exists():
            log("removing_checkpoint" if self._one_file else "removing_diffusers", path=path)
            checkpoint.remove(path)
