"""The optimizer and the learning rate scheduler: names, refusals, and the rates that result."""

from __future__ import annotations

import ast
import importlib.util
import math
from typing import TYPE_CHECKING, Any

from library.console import Failure, log, refuse

if TYPE_CHECKING:
    import argparse

# lower-case name -> (line of train_util.py that announces it, its words, package, class)
_KNOWN: dict[str, tuple[int, str, str, str]] = {
    "lion": (4886, "Lion optimizer", "lion_pytorch", "lion_pytorch.lion_pytorch.Lion"),
    "adamw8bit": (4897, "8-bit AdamW optimizer", "bitsandbytes", "bitsandbytes.optim.adamw.AdamW8bit"),
    "sgdnesterov8bit": (
        4902,
        "8-bit SGD with Nesterov optimizer",
        "bitsandbytes",
        "bitsandbytes.optim.sgd.SGD8bit",
    ),
    "lion8bit": (4913, "8-bit Lion optimizer", "bitsandbytes", "bitsandbytes.optim.lion.Lion8bit"),
    "pagedadamw8bit": (
        4921,
        "8-bit PagedAdamW optimizer",
        "bitsandbytes",
        "bitsandbytes.optim.adamw.PagedAdamW8bit",
    ),
    "pagedlion8bit": (
        4929,
        "8-bit Paged Lion optimizer",
        "bitsandbytes",
        "bitsandbytes.optim.lion.PagedLion8bit",
    ),
    "pagedadamw": (4941, "PagedAdamW optimizer", "bitsandbytes", "bitsandbytes.optim.adamw.PagedAdamW"),
    "pagedadamw32bit": (
        4955,
        "32-bit PagedAdamW optimizer",
        "bitsandbytes",
        "bitsandbytes.optim.adamw.PagedAdamW32bit",
    ),
    "sgdnesterov": (4969, "SGD with Nesterov optimizer", "", "torch.optim.sgd.SGD"),
    "dadapt": (5018, "D-Adaptation Adam optimizer", "dadaptation", "dadaptation.dadapt_adam.DAdaptAdam"),
    "prodigy": (5043, "Prodigy optimizer", "prodigyopt", "prodigyopt.prodigy.Prodigy"),
    "adafactor": (5056, "Adafactor optimizer", "", "transformers.optimization.Adafactor"),
    "adamw": (5096, "AdamW optimizer", "", "torch.optim.adamw.AdamW"),
    "radamschedulefree": (
        5108,
        "RAdamScheduleFree optimizer",
        "schedulefree",
        "schedulefree.RAdamScheduleFree",
    ),
    "adamwschedulefree": (
        5111,
        "AdamWScheduleFree optimizer",
        "schedulefree",
        "schedulefree.AdamWScheduleFree",
    ),
    "sgdschedulefree": (5114, "SGDScheduleFree optimizer", "schedulefree", "schedulefree.SGDScheduleFree"),
}
_IN_TORCH = {
    "Adam",
    "AdamW",
    "SGD",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adamax",
    "NAdam",
    "RAdam",
    "ASGD",
    "Rprop",
}
_MISSING = {"lion_pytorch": "lion_pytorch", "prodigyopt": "Prodigy", "dadaptation": "dadaptation"}
_SCHEDULERS = {
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup",
    "inverse_sqrt", "reduce_lr_on_plateau", "cosine_with_min_lr", "warmup_stable_decay",
}  # fmt: skip


class Optimizer:
    """A chosen optimizer: its class and options as the metadata names them."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name = name
        self._options = options

    def described(self) -> str:
        """Return class and options."""
        options = ",".join(f"{key}={value}" for key, value in self._options.items())
        return f"{self.name}({options})" if options else self.name


def choose(args: argparse.Namespace) -> Optimizer:
    """Choose the optimizer, and replace the rates and the scheduler where Adafactor does.

    Raises:
        Failure: an unknown name, a missing package, options that are no literals.
    """
    name = _name(args).lower()
    if args.fused_backward_pass:
        if name != "adafactor":
            refuse("fused_optimizer")
        if args.gradient_accumulation_steps != 1:
            refuse("fused_accumulation")
    options = literals(args.optimizer_args)
    if name.startswith(("dadapt", "prodigy")) and args.learning_rate <= 0.1:
        log("lr_too_low", rate=args.learning_rate)
        log("lr_recommended")
    if name.startswith("dadapt"):
        name = "dadapt"
    if name not in _KNOWN:
        return _other(args.optimizer_type, options)
    if name == "adafactor":
        _complete_adafactor(options)
    line, words, package, full_name = _KNOWN[name]
    if package:
        _require(package)
    log("optimizer", line=line, name=words, options=options)
    if name == "adafactor":
        _announce_adafactor(args, options)
    return Optimizer(full_name, options)


def literals(items: list[str] | None) -> dict[str, Any]:
    """Read `key=value` items whose values are Python literals.

    Raises:
        Failure: not exactly one `=`, or no literal.
    """
    found = {}
    for item in items or []:
        parts = item.split("=")
        if len(parts) != 2:
            few = "not enough values to unpack (expected 2, got 1)"
            raise Failure("ValueError", few if len(parts) < 2 else "too many values to unpack (expected 2)")
        try:
            found[parts[0]] = ast.literal_eval(parts[1])
        except ValueError as error:
            raise Failure("ValueError", str(error)) from None
        except SyntaxError as error:
            raise Failure("SyntaxError", str(error)) from None
    return found


class Scheduler:
    """The schedule of the learning rates.

    Attributes:
        done: steps so far.
        initial: the rate that Adafactor's own schedule reports; None for schedules of the given rates.
    """

    def __init__(self, args: argparse.Namespace, total_steps: int, processes: int) -> None:
        """Choose the schedule.

        Raises:
            Failure: an unknown name, warmup where there is none.
        """
        steps = total_steps * processes
        warmup, decay = args.lr_warmup_steps, args.lr_decay_steps
        self._warmup = int(warmup * steps) if isinstance(warmup, float) else warmup
        self._decay = int(decay * steps) if isinstance(decay, float) else decay
        self._steps, self._cycles, self._power = steps, args.lr_scheduler_num_cycles, args.lr_scheduler_power
        self._least = args.lr_scheduler_min_lr_ratio or 0.0
        self._kind = args.lr_scheduler
        self.done, self._stride = 0, processes
        self.initial: float | None = None
        if (args.optimizer_type or "").lower().endswith("schedulefree"):
            self._kind = "constant"
            return
        options = literals(args.lr_scheduler_args)
        if args.lr_scheduler_type:
            log("scheduler", name=args.lr_scheduler_type, options=options)
            self._kind = "constant"
            self._refuse_warmup(args.lr_scheduler)
        elif self._kind.startswith("adafactor"):
            if (args.optimizer_type or "").lower() != "adafactor":
                refuse("adafactor_only")
            self.initial = float(self._kind.split(":")[1])
            self._refuse_warmup(self._kind)
        elif self._kind != "piecewise_constant" and self._kind not in _SCHEDULERS:
            raise Failure("ValueError", f"{self._kind!r} is not a valid SchedulerType")
        elif self._kind == "constant":
            self._refuse_warmup("SchedulerType.CONSTANT")

    def factor(self) -> float:
        """Return what the given rates are multiplied by in the next step."""
        done = self.done
        if self._warmup and done < self._warmup:
            return done / self._warmup
        share = min(1.0, (done - self._warmup) / max(1, self._steps - self._warmup))
        shift = max(1, self._warmup or 10_000)
        decayed = max(0.0, (done - self._steps + self._decay) / max(1, self._decay))
        shapes = {
            "linear": 1 - share,
            "cosine": _wave(share),
            "cosine_with_min_lr": self._least + (1 - self._least) * _wave(share),
            "cosine_with_restarts": _wave(self._cycles * share % 1.0) if share < 1 else 0.0,
            "polynomial": (1 - share) ** self._power,
            "inverse_sqrt": 1 / math.sqrt((done + shift - self._warmup) / shift),
            "warmup_stable_decay": _wave(min(1.0, decayed)),
        }
        return float(shapes.get(self._kind, 1.0))

    def step(self) -> None:
        """Go on; with several processes once for each."""
        self.done += self._stride

    def _refuse_warmup(self, name: str) -> None:
        if self._warmup:
            refuse("warmup", scheduler=name)


def _wave(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


def _name(args: argparse.Namespace) -> str:
    kind = args.optimizer_type
    if args.use_8bit_adam:
        if args.use_lion_optimizer:
            refuse("adam_and_lion")
        if kind:
            refuse("adam_and_type")
        return "AdamW8bit"
    if args.use_lion_optimizer:
        if kind:
            refuse("lion_and_type")
        return "Lion"
    return kind or "AdamW"


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        refuse("no_package", name=_MISSING.get(package, package))


def _complete_adafactor(options: dict[str, Any]) -> None:
    options.setdefault("relative_step", True)
    if not options["relative_step"] and options.get("warmup_init", False):
        log("warmup_init")
        options["relative_step"] = True


def _announce_adafactor(args: argparse.Namespace, options: dict[str, Any]) -> None:
    if options["relative_step"]:
        log("relative_step")
        if args.learning_rate != 0.0:
            log("initial_lr")
        log("rates_ignored")
        if args.lr_scheduler != "adafactor":
            log("adafactor_scheduler")
        args.lr_scheduler, args.learning_rate = f"adafactor:{args.learning_rate}", None
        for name in ("unet_lr", "text_encoder_lr"):
            if hasattr(args, name):
                setattr(args, name, None)
        return
    if args.max_grad_norm != 0.0:
        log("clip_grad")
    if args.lr_scheduler != "constant_with_warmup":
        log("warmup_good")


def _other(name: str, options: dict[str, Any]) -> Optimizer:
    """Take the class of that very name, from torch.optim or with a dotted path from anywhere."""
    log("optimizer", line=5124, name=name, options=options)
    if "." not in name:
        if name not in _IN_TORCH:
            raise Failure("AttributeError", f"module 'torch.optim' has no attribute '{name}'")
        return Optimizer(f"torch.optim.{name.lower()}.{name}", options)
    package = name.split(".", maxsplit=1)[0]
    if importlib.util.find_spec(package) is None:
        raise Failure("ModuleNotFoundError", f"No module named '{package}'")
    return Optimizer(name, options)
