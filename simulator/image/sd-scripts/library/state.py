"""Training states: folders to resume from, with what accelerate saves and what a LoRA's trainer adds.

A LoRA's state knows epoch and step, a full fine-tuning's does not. The rates and the place in the schedule
are the old run's. Files are scaled down as checkpoints are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hardware import clock
from models import safetensors

from library import checkpoint, speed
from library.console import Failure, log

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from library.optimizer import Scheduler

_TRAIN_STATE = "train_state.json"


class Position(NamedTuple):
    """Where training stands: epoch from one, steps of this session."""

    epoch: int
    step: int


class States:
    """Saves and loads the states of one training."""

    def __init__(
        self,
        args: argparse.Namespace,
        *,
        full: bool,
        loaders: int,
        true_size: float,
        write_model: Callable[[Path], None],
    ) -> None:
        """Take how many data loaders there are, what a state truly weighs, and how its model is written."""
        self._args, self._full, self._loaders = args, full, loaders
        self._true_size, self._write_model = true_size, write_model

    def save_epoch(self, position: Position, scheduler: Scheduler, rates: dict[str, float]) -> None:
        """Save at the end of an epoch, then remove the state that is one too many."""
        args = self._args
        log("blank", line=5941)
        log("saving_state_epoch", epoch=position.epoch)
        self._save(f"{checkpoint.epoch_name(args, position.epoch)}-state", position, scheduler, rates)
        keep = args.save_last_n_epochs_state or args.save_last_n_epochs
        expired = checkpoint.expired_epoch(args, position.epoch, keep)
        if expired is not None:
            self._remove(f"{checkpoint.epoch_name(args, expired)}-state", "removing_state_epoch")

    def save_step(self, position: Position, scheduler: Scheduler, rates: dict[str, float]) -> None:
        """Save after a step, then remove the state that is one too many."""
        args = self._args
        log("blank", line=5963)
        log("saving_state_step", step=position.step)
        self._save(f"{checkpoint.step_name(args, position.step)}-state", position, scheduler, rates)
        expired = checkpoint.expired_step(
            args, position.step, args.save_last_n_steps_state or args.save_last_n_steps
        )
        if expired:
            self._remove(f"{checkpoint.step_name(args, expired)}-state", "removing_state_step")

    def save_last(self, position: Position, scheduler: Scheduler, rates: dict[str, float]) -> None:
        """Save at the end of training."""
        log("blank", line=5989)
        log("saving_state_last")
        self._save(f"{checkpoint.last_name(self._args)}-state", position, scheduler, rates)

    def resume(self, scheduler: Scheduler, rates: dict[str, float]) -> int | None:
        """Load the state of `--resume`; return the steps that it knows of.

        Raises:
            Failure: there is no such folder, or it is not whole.
        """
        if not self._args.resume:
            return None
        folder = Path(self._args.resume)
        log("resuming", path=folder)
        if not folder.is_dir():
            raise Failure("ValueError", f"Tried to find {folder} but folder does not exist")
        log("state_loading", path=folder)
        steps = None
        train_state = folder / _TRAIN_STATE
        if not self._full and train_state.exists():
            try:
                data: dict[str, int] = json.loads(train_state.read_text(encoding="utf-8"))
            except ValueError as error:
                raise Failure("json.decoder.JSONDecodeError", str(error)) from None
            steps = data["current_step"]
            log("train_state_loaded", path=train_state, data=data)
        self._check_model(folder / "model.safetensors")
        log("state_model_loaded")
        saved = self._read(folder / "scheduler.bin")
        scheduler.done = saved["last_epoch"]
        rates.update({name: rate for name, rate in saved["rates"].items() if name in rates})
        for key in (
            "state_optimizer_loaded",
            "state_scheduler_loaded",
            "state_sampler_loaded",
            "state_random_loaded",
        ):
            log(key)
        return steps

    def _save(self, name: str, position: Position, scheduler: Scheduler, rates: dict[str, float]) -> None:
        folder = checkpoint.folder(self._args) / name
        log("state_saving", path=folder)
        folder.mkdir(exist_ok=True)
        if not self._full:
            path = folder / _TRAIN_STATE
            log("train_state_saved", path=path, epoch=position.epoch, step=position.step)
            data = {"current_epoch": position.epoch, "current_step": position.step}
            path.write_text(json.dumps(data), encoding="utf-8")
        model = folder / "model.safetensors"
        self._write_model(model)
        log("state_model_saved", path=model)
        state = json.dumps({"last_epoch": scheduler.done, "rates": rates})
        self._write(folder, "optimizer.bin", state, "state_optimizer_saved", share=0.6)
        self._write(folder, "scheduler.bin", state, "state_scheduler_saved")
        for index in range(self._loaders):
            name = "sampler.bin" if index == 0 else f"sampler_{index}.bin"
            log("state_sampler_saved", index=index, path=folder / name)
        if self._args.mixed_precision == "fp16":
            self._write(folder, "scaler.pt", "{}", "state_scaler_saved")
        self._write(folder, "random_states_0.pkl", "{}", "state_random_saved")

    def _write(self, folder: Path, name: str, content: str, key: str, share: float = 0.0) -> None:
        path = folder / name
        clock.sleep(speed.save(self._true_size * share) - 0.4)
        path.write_text(content, encoding="utf-8")
        log(key, path=path)

    def _remove(self, name: str, key: str) -> None:
        path = Path(self._args.output_dir, name)
        if path.exists():
            log(key, path=path)
            checkpoint.remove(path)

    @staticmethod
    def _check_model(path: Path) -> None:
        if not path.exists():
            raise Failure("FileNotFoundError", f'No such file or directory: "{path}"')
        try:
            safetensors.read_header(path)
        except safetensors.SafetensorError as error:
            raise Failure("safetensors_rust.SafetensorError", str(error)) from None

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            saved: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Failure("FileNotFoundError", f"[Errno 2] No such file or directory: '{path}'") from None
        except ValueError:
            raise Failure(
                "RuntimeError",
                "PytorchStreamReader failed reading zip archive: failed finding central directory",
            ) from None
        return saved
