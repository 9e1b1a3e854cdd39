"""LoRA training: `sdxl_train_network.py`, and `train_network.py` for SD1."""

from __future__ import annotations

import math
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hardware import clock

from library import memory, metadata, samples, speed, steps
from library import network as networks
from library.console import Failure, echo, echo_text, log, refuse
from library.loop import Loop
from library.lora_files import LoraFiles
from library.optimizer import Scheduler, choose
from library.preparation import Prepared, import_packages, prepare
from library.progress import Bar
from library.state import Position
from library.validation import Validation

if TYPE_CHECKING:
    import argparse

_DTYPES = {"no": "torch.float32", "fp16": "torch.float16", "bf16": "torch.bfloat16"}


def train(args: argparse.Namespace, *, sdxl: bool) -> None:
    """Train a LoRA.

    Raises:
        Failure: as the real trainer fails.
    """
    import_packages()
    started, session = time.time(), random.randrange(2**32)
    prepared = prepare(args, full=False, sdxl=sdxl)
    if prepared is None:
        return
    echo(f"import network module: {args.network_module}")
    network = networks.create(args, is_sdxl=sdxl)
    _load_weights(args)
    echo("prepare optimizer, data loader etc.")
    rates = _rates(args)
    optimizer = choose(args)
    if args.max_data_loader_n_workers == 0 and args.persistent_data_loader_workers:
        raise Failure("ValueError", "persistent_workers option needs num_workers > 0")
    processes, accumulation = prepared.processes, args.gradient_accumulation_steps
    batches = sum(dataset.batches for dataset in prepared.datasets)
    if args.max_train_epochs is not None:
        args.max_train_steps = args.max_train_epochs * steps.per_epoch(batches, processes, accumulation)
        echo_text("override_steps", epochs=args.max_train_epochs, steps=args.max_train_steps)
    scheduler = Scheduler(args, args.max_train_steps, processes)
    _announce_precision(args)
    trains_text = not args.network_train_unet_only
    demand = memory.demand(
        args, full=False, trains_text=trains_text, rank=network.rank, processes=processes, sdxl=sdxl
    )
    memory.require(demand.weights, processes, 5)
    files = LoraFiles(args, network, scheduler, rates, sdxl=sdxl)
    steps_from_state = files.states.resume(scheduler, rates)
    loader = math.ceil(batches / processes)
    epochs = steps.epochs(args.max_train_steps, loader, accumulation)
    if args.save_n_epoch_ratio:
        args.save_every_n_epochs = math.floor(epochs / args.save_n_epoch_ratio) or 1
    _announce(args, prepared, loader, epochs)
    files.about = metadata.of_lora(
        args,
        network,
        prepared,
        optimizer=optimizer.described(),
        batches=loader,
        epochs=epochs,
        started=started,
        session=session,
        sdxl=sdxl,
    )
    clock.sleep(speed.digest(prepared.model.size))
    loop = Loop(
        args,
        prepared,
        scheduler,
        rates,
        demand,
        full=False,
        trains_text=trains_text,
        batches=loader,
        epochs=epochs,
    )
    skipped = _find_start(args, loop, steps_from_state)
    loop.open_trackers("network_train")
    samples.draw(args, 0, 0, demand.weights, processes)
    _skip(loop, skipped)
    device = "cuda:0" if processes > 1 else "cuda"
    log("unet_dtype", dtype=_DTYPES[args.mixed_precision], device=device)
    for index in (0, 1) if sdxl else (0,):
        cached = getattr(args, "cache_text_encoder_outputs", False)
        dtype, where = ("torch.float32", "cpu") if cached else (_DTYPES[args.mixed_precision], device)
        log("te_dtype", index=index, dtype=dtype, device=where)
    bar = Bar(args.max_train_steps - loop.skip, "steps")
    loop.validation = Validation(args, prepared, trains_text=trains_text)
    loop.run(bar, files)
    files.save_last(Position(loop.epoch + 1, loop.step), epochs)
    log("model_saved")
    bar.close()
    loop.validation.close()


def _load_weights(args: argparse.Namespace) -> None:
    for index, path in enumerate(args.base_weights or []):
        multipliers = args.base_weights_multiplier or []
        multiplier = multipliers[index] if index < len(multipliers) else 1.0
        echo(f"merging module: {path} with multiplier {multiplier}")
        _require_file(path)
    if args.base_weights:
        echo(f"all weights merged: {', '.join(args.base_weights)}")
    if args.network_weights is not None:
        _require_file(args.network_weights)
        echo(f"load network weights from {args.network_weights}: <All keys matched successfully>")


def _require_file(path: str) -> None:
    if not Path(path).exists():
        raise Failure("FileNotFoundError", f'No such file or directory: "{path}"')


def _rates(args: argparse.Namespace) -> dict[str, float]:
    """Return the learning rates by what they train."""
    rates = {}
    default = args.learning_rate
    if not args.network_train_unet_only:
        given = args.text_encoder_lr
        text = (
            given[0]
            if isinstance(given, list) and given
            else given
            if isinstance(given, (int, float))
            else None
        )
        rates["textencoder"] = default if text is None else float(text)
    if not args.network_train_text_encoder_only:
        rates["unet"] = default if args.unet_lr is None else args.unet_lr
    return rates


def _announce_precision(args: argparse.Namespace) -> None:
    if args.full_fp16 or args.full_bf16:
        echo(f"enable full {'fp16' if args.full_fp16 else 'bf16'} training.")
    if args.fp8_base or args.fp8_base_unet:
        if args.mixed_precision == "no":
            refuse("fp8_precision")
        echo("enable fp8 training for U-Net.")
        if not args.fp8_base_unet:
            echo("enable fp8 training for Text Encoder.")
        log("fp8")


def _announce(args: argparse.Namespace, prepared: Prepared, batches: int, epochs: int) -> None:
    datasets = prepared.datasets
    echo_text("running")
    echo_text("train_images", count=sum(dataset.train_images for dataset in datasets))
    echo_text("validation_images", count=sum(dataset.train_images for dataset in prepared.validation))
    echo_text("reg_images", count=sum(dataset.reg_images for dataset in datasets))
    echo_text("batches", count=batches)
    echo_text("epochs", count=epochs)
    echo_text("batch_size", sizes=", ".join(str(dataset.settings["batch_size"]) for dataset in datasets))
    echo_text("accumulation", steps=args.gradient_accumulation_steps)
    echo_text("total_steps", steps=args.max_train_steps)


def _find_start(args: argparse.Namespace, loop: Loop, steps_from_state: int | None) -> int:
    """Find the epoch to start in; return the batches to leave out, which only one option asks for.

    The arithmetic is the real trainer's, which divides the batches of one process by the processes once more.

    Raises:
        Failure: training is over at that step.
    """
    accumulation = args.gradient_accumulation_steps
    initial = 0
    if args.initial_epoch is not None or args.initial_step is not None:
        if steps_from_state is not None:
            log("state_steps_ignored")
        initial = args.initial_step
        if initial is None:
            per_epoch = steps.per_epoch(loop.batches, loop.prepared.processes, accumulation)
            initial = (args.initial_epoch - 1) * per_epoch
    elif steps_from_state is not None:
        initial = steps_from_state
    if initial <= 0:
        return 0
    if args.max_train_steps <= initial:
        refuse("initial_step", total=args.max_train_steps, initial=initial)
    if args.skip_until_initial_step:
        if not args.resume:
            log("skip_without_resume")
        log("skipping_steps", steps=initial)
        initial *= accumulation
    loop.first_epoch = initial // math.ceil(loop.batches / accumulation)
    return int(initial) if args.skip_until_initial_step else 0


def _skip(loop: Loop, initial: int) -> None:
    """Leave out whole epochs, then batches of the first; the steps start at what remains."""
    if initial <= 0:
        return
    for epoch in range(loop.first_epoch):
        log("skipping_epoch", epoch=epoch + 1, steps=initial)
        initial -= loop.batches
    loop.skip = loop.step = initial
