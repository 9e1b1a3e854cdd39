"""Full fine-tuning: `sdxl_train.py`, and `fine_tune.py` and `train_db.py` for SD1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from library import memory, samples, steps
from library.console import Failure, echo, echo_text, log
from library.full_files import FullFiles
from library.loop import Loop
from library.optimizer import Scheduler, choose
from library.preparation import Prepared, import_packages, prepare
from library.progress import Bar
from library.state import Position

if TYPE_CHECKING:
    import argparse

_UNET, _TEXT_1, _TEXT_2 = 2_567_463_684, 123_060_480, 694_659_841
_UNET_SD1 = 859_520_964


def train(args: argparse.Namespace, *, sdxl: bool) -> None:
    """Fine-tune the whole U-Net, and the text encoders where asked.

    Raises:
        Failure: as the real trainer fails.
    """
    import_packages()
    _fill_in(args)
    prepared = prepare(args, full=True, sdxl=sdxl)
    if prepared is None:
        return
    rates = _rates(args, prepared, sdxl=sdxl)
    echo("prepare optimizer, data loader etc.")
    if args.fused_optimizer_groups:
        for _ in range(args.fused_optimizer_groups):
            optimizer = choose(args)
        log("optimizer_groups", count=args.fused_optimizer_groups)
    else:
        optimizer = choose(args)
    del optimizer  # a full checkpoint does not name it
    if args.max_data_loader_n_workers == 0 and args.persistent_data_loader_workers:
        raise Failure("ValueError", "persistent_workers option needs num_workers > 0")
    processes, accumulation = prepared.processes, args.gradient_accumulation_steps
    batches = sum(dataset.batches for dataset in prepared.datasets)
    if args.max_train_epochs is not None:
        args.max_train_steps = args.max_train_epochs * steps.per_epoch(batches, processes, accumulation)
        echo_text("override_steps", epochs=args.max_train_epochs, steps=args.max_train_steps)
    scheduler = Scheduler(args, args.max_train_steps, processes)
    if args.full_fp16 or args.full_bf16:
        echo(f"enable full {'fp16' if args.full_fp16 else 'bf16'} training.")
    trains_text = "text_encoder1" in rates
    demand = memory.demand(args, full=True, trains_text=trains_text, rank=0, processes=processes, sdxl=sdxl)
    memory.require(demand.weights, processes, 5)
    files = FullFiles(
        args,
        scheduler,
        rates,
        sdxl=sdxl,
        state_size=demand.weights + demand.states,
        from_file=bool(prepared.model.size),
    )
    files.states.resume(scheduler, rates)
    loader = math.ceil(batches / processes)
    epochs = steps.epochs(args.max_train_steps, loader, accumulation)
    if args.save_n_epoch_ratio:
        args.save_every_n_epochs = math.floor(epochs / args.save_n_epoch_ratio) or 1
    _announce(args, prepared, loader, epochs)
    bar = Bar(args.max_train_steps, "steps")
    loop = Loop(
        args,
        prepared,
        scheduler,
        rates,
        demand,
        full=True,
        trains_text=trains_text,
        batches=loader,
        epochs=epochs,
    )
    loop.open_trackers("finetuning" if sdxl else "dreambooth")
    samples.draw(args, 0, 0, demand.weights, processes)
    loop.run(bar, files)
    files.save_last(Position(loop.epoch + 1, loop.step))
    log("model_saved_full")
    bar.close()


def _fill_in(args: argparse.Namespace) -> None:
    """Give options that only SDXL's script has the value that means nothing."""
    for name, value in {
        "train_text_encoder": False,
        "block_lr": None,
        "fused_optimizer_groups": None,
        "learning_rate_te1": None,
        "learning_rate_te2": None,
        "cache_text_encoder_outputs": False,
        "fused_backward_pass": False,
        "fp8_base_unet": False,
    }.items():
        if not hasattr(args, name):
            setattr(args, name, value)


def _rates(args: argparse.Namespace, prepared: Prepared, *, sdxl: bool) -> dict[str, float]:
    """Return the learning rates by what they train, and say what that is."""
    trains_unet = args.learning_rate != 0
    rates: dict[str, float] = {}
    parameters = 0
    if trains_unet:
        parameters += _UNET if sdxl else _UNET_SD1
        if prepared.block_rates is None:
            rates["unet"] = args.learning_rate
        else:
            rates |= {f"block{index}": rate for index, rate in enumerate(prepared.block_rates) if rate}
    text = {}
    if args.train_text_encoder:
        first = args.learning_rate if args.learning_rate_te1 is None else args.learning_rate_te1
        second = args.learning_rate if args.learning_rate_te2 is None else args.learning_rate_te2
        text = {"text_encoder1": (first, _TEXT_1), "text_encoder2": (second, _TEXT_2)}
    for name, (rate, count) in text.items():
        if rate != 0:
            rates[name] = rate
            parameters += count
    flags = ", ".join(f"{name}: {name in rates}" for name in ("text_encoder1", "text_encoder2"))
    echo(f"train unet: {trains_unet}, {flags}")
    echo(f"number of models: {int(trains_unet) + sum(name in rates for name in text)}")
    echo(f"number of trainable parameters: {parameters}")
    return rates


def _announce(args: argparse.Namespace, prepared: Prepared, batches: int, epochs: int) -> None:
    datasets = prepared.datasets
    echo_text("running")
    echo_text("examples", count=sum(dataset.train_images for dataset in datasets))
    echo_text("batches", count=batches)
    echo_text("epochs", count=epochs)
    echo_text("batch_size", sizes=", ".join(str(dataset.settings["batch_size"]) for dataset in datasets))
    echo_text("accumulation", steps=args.gradient_accumulation_steps)
    echo_text("total_steps", steps=args.max_train_steps)
