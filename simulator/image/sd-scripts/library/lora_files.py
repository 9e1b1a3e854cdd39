"""What a LoRA training writes: the network's files with their metadata, and its states."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from models import safetensors

from library import checkpoint, metadata
from library import network as networks
from library.console import echo
from library.state import Position, States

if TYPE_CHECKING:
    import argparse

    from library.optimizer import Scheduler

_STATE_BYTES = 12
"""For each weight: itself and AdamW's two moments in fp32."""


class LoraFiles:
    """Writes when the loop says so.

    Attributes:
        about: metadata that is the same in every file.
        states: the states beside the files.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        network: networks.Network,
        scheduler: Scheduler,
        rates: dict[str, float],
        *,
        sdxl: bool,
    ) -> None:
        self._args, self._network, self._sdxl = args, network, sdxl
        self._scheduler, self._rates = scheduler, rates
        self.about: dict[str, str] = {}
        self.states = States(
            args,
            full=False,
            loaders=2,
            true_size=network.parameters * _STATE_BYTES,
            write_model=lambda path: self._write(path, "F32", None, args.seed),
        )

    def save_step(self, position: Position, epochs_done: int) -> None:
        """Save after a step."""
        args = self._args
        self._save(checkpoint.step_name(args, position.step), position.step, epochs_done)
        if args.save_state:
            self.states.save_step(position, self._scheduler, self._rates)
        expired = checkpoint.expired_step(args, position.step, args.save_last_n_steps)
        if expired is not None:
            self._remove(checkpoint.step_name(args, expired))

    def save_epoch(self, position: Position) -> None:
        """Save after an epoch."""
        args = self._args
        self._save(checkpoint.epoch_name(args, position.epoch), position.step, position.epoch)
        expired = checkpoint.expired_epoch(args, position.epoch, args.save_last_n_epochs)
        if expired is not None:
            self._remove(checkpoint.epoch_name(args, expired))
        if args.save_state:
            self.states.save_epoch(position, self._scheduler, self._rates)

    def save_last(self, position: Position, epochs: int) -> None:
        """Save at the end of training: the state first, then the model."""
        args = self._args
        if args.save_state or args.save_state_on_train_end:
            self.states.save_last(position, self._scheduler, self._rates)
        self._save(checkpoint.last_name(args), position.step, epochs)

    def _save(self, name: str, step: int, epoch: int) -> None:
        args = self._args
        path = checkpoint.folder(args) / f"{name}.{args.save_model_as}"
        echo(f"\nsaving checkpoint: {path}")
        about = {
            **self.about,
            "ss_training_finished_at": str(time.time()),
            "ss_steps": str(step),
            "ss_epoch": str(epoch),
        }
        if args.no_metadata:
            about = {key: value for key, value in about.items() if key in metadata.MINIMUM}
        about |= metadata.modelspec(args, sdxl=self._sdxl, lora=True)
        self._write(path, checkpoint.DTYPES[args.save_precision], about, args.seed + step)

    def _write(self, path: Path, dtype: str, about: dict[str, str] | None, seed: int) -> None:
        """Write the weights; without metadata for a state."""
        width = safetensors.SIZES[dtype]
        shapes = networks.written(self._network, width)
        tensors = b"".join(networks.weights(shapes, self._network.alpha, seed, dtype))
        if about is not None:
            new, legacy = checkpoint.digests(tensors)
            about = {**about, "sshs_model_hash": new, "sshs_legacy_hash": legacy}
        checkpoint.write(
            path, shapes, dtype, about or {"format": "pt"}, tensors, self._network.parameters * width
        )

    def _remove(self, name: str) -> None:
        path = Path(self._args.output_dir, f"{name}.{self._args.save_model_as}")
        if path.exists():
            echo(f"removing old checkpoint: {path}")
            checkpoint.remove(path)
