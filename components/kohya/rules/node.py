"""What goes wrong only with old or several GPUs, or on a node that may be taken away at any time."""

from __future__ import annotations

import math
from typing import Final

from components.kohya.rules.situation import CONSENT, WARNING, Rule, Situation

_RESUMABLE: Final = ("constant", "constant_with_warmup", "adafactor")
"""Schedules of a full fine-tune that go on where they were; the others are drawn anew over the rest."""


def _ends_elsewhere(s: Situation) -> bool:
    if not (s.interruptible and s.full) or s.relative_step or s.optimizer.endswith("ScheduleFree"):
        return False
    return bool(s.o.lr_scheduler_type) or str(s.o.lr_scheduler).partition(":")[0] not in _RESUMABLE


def _saves_epochs(s: Situation) -> bool:
    """Tell whether an epoch before the last is saved; a run of one epoch has none."""
    every, epochs = s.o.save_every_n_epochs, s.o.max_train_epochs or math.inf
    return bool(every) and (every < epochs or epochs == 1)


NODE: Final = (
    Rule(
        "bf16-before-ampere",
        "mixed_precision",
        lambda s: s.o.mixed_precision == "bf16" and s.without_bf16,
        "{s.without_bf16} cannot compute in bf16, which came with Ampere: steps fail, or take far longer",
        "set mixed_precision fp16, or take newer GPUs",
        CONSENT,
    ),
    Rule(
        "several-gpus-fused",
        "fused_backward_pass",
        lambda s: s.full and s.gpus > 1 and s.o.fused_backward_pass,
        "on {s.gpus} GPUs each would step before gradients are exchanged, and the copies drift apart",
        "take one GPU, or leave fused_backward_pass out",
    ),
    Rule(
        "several-gpus-groups",
        "fused_optimizer_groups",
        lambda s: s.full and s.gpus > 1 and s.o.fused_optimizer_groups,
        "on {s.gpus} GPUs each would step before gradients are exchanged, and the copies drift apart",
        "take one GPU, or leave fused_optimizer_groups out",
    ),
    Rule(
        "several-gpus-steps",
        "max_train_steps",
        lambda s: s.gpus > 1 and "max_train_steps" in s.given and not s.o.max_train_epochs,
        "steps are not divided among {s.gpus} GPUs: {s.gpus} times the images are seen",
        "set max_train_epochs, which is divided, or fewer steps",
        WARNING,
    ),
    Rule(
        "several-gpus-memory",
        "ddp_gradient_as_bucket_view",
        lambda s: s.full and s.gpus > 1 and not s.o.ddp_gradient_as_bucket_view,
        "the exchange of gradients keeps a second copy of them, about 10 GB on each GPU",
        "set it, and ddp_static_graph",
        WARNING,
    ),
    Rule(
        "several-gpus-states",
        "save_state",
        lambda s: not s.full and s.gpus > 1 and s.o.save_state,
        "a state holds the random numbers of the first GPU only: after a resume the others draw new ones",
        "know it; nothing else is lost",
        WARNING,
    ),
    Rule(
        "interrupted-without-state",
        "save_state",
        lambda s: s.interruptible and not s.o.save_state,
        "when the node is taken away, optimizer and schedule are lost and begin anew",
        "set it",
        CONSENT,
    ),
    Rule(
        "interrupted-without-saves",
        "save_every_n_epochs",
        lambda s: (
            s.interruptible and not any((_saves_epochs(s), s.o.save_every_n_steps, s.o.save_n_epoch_ratio))
        ),
        "nothing is saved before the end: when the node is taken away, all is lost",
        "set it to 1",
        CONSENT,
    ),
    Rule(
        "interrupted-schedule",
        "lr_scheduler",
        _ends_elsewhere,
        "a full fine-tune that resumes draws {o.lr_scheduler} over the epochs that are left: its rate jumps",
        "take constant_with_warmup, or rent on demand (node.bid: null)",
        CONSENT,
    ),
    Rule(
        "interrupted-fused-text",
        "train_text_encoder",
        lambda s: s.interruptible and s.full and s.o.fused_backward_pass and s.o.train_text_encoder,
        "resuming with fused_backward_pass and trained text encoders has failed (sd-scripts issue 1369)",
        "leave one of them out, or rent on demand (node.bid: null)",
        CONSENT,
    ),
    Rule(
        "interrupted-groups",
        "fused_optimizer_groups",
        lambda s: s.interruptible and s.full and s.o.fused_optimizer_groups,
        "a resume restores the optimizer of the first group only",
        "leave it out, or rent on demand (node.bid: null)",
        CONSENT,
    ),
    Rule(
        "interrupted-warmup-of-tags",
        "token_warmup_step",
        lambda s: s.interruptible and any(each.token_warmup_step for each in s.subsets),
        "sd-scripts counts steps from 0 after a resume, so the warmup of tags begins anew",
        "leave it out, or rent on demand (node.bid: null)",
        CONSENT,
    ),
    Rule(
        "interrupted-without-seed",
        "seed",
        lambda s: s.interruptible and s.o.seed is None,
        "each resume would draw another order of images and other noise",
        "set it",
        WARNING,
    ),
)
