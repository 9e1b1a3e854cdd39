"""How a run goes on after an interruption: the options of its next part, and how often to save. Pure.

What cannot go on faithfully is known before anything is rented: rules `interrupted-…` in `rules.node`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from components.kohya.options import LORA

if TYPE_CHECKING:
    from components.kohya.ledger import Point
    from components.kohya.options import Script


def continued(
    script: Script, options: dict[str, Any], point: Point, processes: int = 1
) -> dict[str, Any] | None:
    """Return the options of the part that begins at `point`; None where nothing is left to train.

    A LoRA is told its first epoch, since the count in its state is wrong after a second resume; its schedule
    stays that of the whole run. A full fine-tune cannot be told: it trains the epochs that are left, and only
    a schedule that does not depend on their number goes on as it was; a warmup given as a share is therefore
    written in steps. From weights alone, optimizer and schedule begin anew.

    Args:
        script: that trains.
        options: of the uninterrupted run, with `max_train_epochs`.
        point: with paths on the machine.
        processes: GPUs that train together.
    """
    left = options["max_train_epochs"] - point.done
    if left <= 0:
        return None
    if not point.done:
        return dict(options)
    if script == LORA:
        weights = {"network_weights": point.weights, "dim_from_weights": True}
        return {
            **options,
            **({"resume": point.state} if point.state else weights),
            **_start(point, processes),
        }
    if not point.state:
        return {**options, "pretrained_model_name_or_path": point.weights, "max_train_epochs": left}
    changes: dict[str, Any] = {"resume": point.state, "max_train_epochs": left}
    if isinstance(share := options.get("lr_warmup_steps"), float):
        steps = options["max_train_epochs"] * point.steps_per_epoch * processes
        changes["lr_warmup_steps"] = int(share * steps)
    return {**options, **changes}


def _start(point: Point, processes: int) -> dict[str, int]:
    """Return where a LoRA starts; sd-scripts divides an epoch's steps by the processes once too often."""
    if processes == 1:
        return {"initial_epoch": point.done + 1}
    return {"initial_step": point.done * point.steps_per_epoch}


def described(point: Point, epochs: int) -> str:
    """Say in one line where a run goes on, and what is lost."""
    if point.done >= epochs:
        return f"all {epochs} epochs are done"
    if not point.done:
        return "begins with its first epoch"
    after = f"goes on after epoch {point.done} of {epochs}"
    if point.state:
        return f"{after} with weights, optimizer and schedule as they were"
    return f"{after} with its weights alone: optimizer and schedule begin anew"


def interval(
    epoch_seconds: float, save_seconds: float, seconds_between_interruptions: float, epochs: int
) -> int:
    """Return the epochs between two states that lose least time to saving and to training again.

    Daly's estimate, the third-order refinement of Young's sqrt(2 · save · mean time to interruption), in
    whole epochs. A run of three or more saves at least two states before its end.

    Sources: J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974;
    J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future
    Generation Computer Systems 22(3), 2006, equation 37.

    Args:
        epoch_seconds: an epoch's training.
        save_seconds: training stands still for a save.
        seconds_between_interruptions: mean; infinite where there are none.
        epochs: of the run.
    """
    share = save_seconds / (2 * seconds_between_interruptions)
    if share < 1:
        young = math.sqrt(2 * save_seconds * seconds_between_interruptions)
        best = young * (1 + math.sqrt(share) / 3 + share / 9) - save_seconds
    else:
        best = seconds_between_interruptions
    return max(1, min(round(min(best / epoch_seconds, epochs)), (epochs - 1) // 2))
