"""What the rules look at: a whole training before it runs; and what a rule is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.kohya.names import optimizer_of, relative_step
from components.kohya.options import FULL
from components.kohya.problem import Problem, Severity
from components.spec import gpus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from types import SimpleNamespace
    from typing import Any

    from components.kohya.dataset_config import Resolved
    from components.kohya.options import Script

WARNING: Final = Severity.WARNING
CONSENT: Final = Severity.CONSENT

_CHANGING: Final = (
    "shuffle_caption",
    "caption_dropout_rate",
    "caption_tag_dropout_rate",
    "token_warmup_step",
)


@dataclass(frozen=True)
class Situation:
    """A training before it runs.

    Attributes:
        script: the script.
        o: every option's value, those of the other script too.
        given: the options of the command.
        config: the dataset configuration as it is written.
        datasets: the same with every key resolved.
        gpus: how many GPUs train together.
        interruptible: whether the node may be taken away at any time.
        packages: what is installed beside sd-scripts' requirements.
        models: names of the GPUs that it may get.
    """

    script: Script
    o: SimpleNamespace
    given: Mapping[str, Any]
    config: Mapping[str, Any]
    datasets: tuple[Resolved, ...]
    gpus: int
    interruptible: bool
    packages: Collection[str]
    models: Collection[str]

    @property
    def full(self) -> bool:
        """Whether all weights are trained, not a LoRA."""
        return self.script == FULL

    @property
    def subsets(self) -> list[SimpleNamespace]:
        """The subsets of all datasets."""
        return [subset for dataset in self.datasets for subset in dataset.subsets]

    @property
    def text_cached(self) -> bool:
        """Whether captions are encoded once."""
        return bool(self.o.cache_text_encoder_outputs or self.o.cache_text_encoder_outputs_to_disk)

    @property
    def latents_cached(self) -> bool:
        """Whether images are encoded once."""
        return bool(self.o.cache_latents or self.o.cache_latents_to_disk)

    @property
    def captions_change(self) -> bool:
        """Whether an image's caption differs from step to step."""
        return any(getattr(subset, key) for subset in self.subsets for key in _CHANGING)

    @property
    def optimizer(self) -> str:
        """The optimizer, as the table spells it."""
        return optimizer_of(self.given)

    @property
    def relative_step(self) -> bool:
        """Whether Adafactor finds its own learning rate."""
        return relative_step(self.given)

    @property
    def without_bf16(self) -> str:
        """Those of the GPUs that do not compute in bf16, in words."""
        return ", ".join(name for name in self.models if not gpus.has_bf16(name))

    @property
    def previews(self) -> bool:
        """Whether sample images are drawn."""
        every = (self.o.sample_every_n_steps or 0, self.o.sample_every_n_epochs or 0)
        return max(every) > 0 or self.o.sample_at_first


@dataclass(frozen=True)
class Rule:
    """One thing that goes wrong.

    Attributes:
        name: stable, for programs and tests.
        option: the option or key to blame.
        broken: whether it goes wrong.
        reason: what then happens; `{o.…}` and `{s.…}` stand for values of the situation.
        remedy: what to do.
        severity: how bad it is.
    """

    name: str
    option: str
    broken: Callable[[Situation], Any]
    reason: str
    remedy: str
    severity: Severity = Severity.ERROR


def broken(rules: Iterable[Rule], situation: Situation) -> list[Problem]:
    """Return the problems of those rules that are broken."""
    return [
        Problem(
            rule.option,
            rule.reason.format(o=situation.o, s=situation),
            rule.remedy,
            rule.severity,
            rule.name,
        )
        for rule in rules
        if rule.broken(situation)
    ]
