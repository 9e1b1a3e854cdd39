"""Whether a training would work, before anything is rented. Pure.

Every combination that sd-scripts refuses late, ignores silently or gets wrong is a rule in `rules`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from components.kohya.dataset_config import misfits, resolved
from components.kohya.options import FULL, LORA, values
from components.kohya.problem import Severity
from components.kohya.rules.dataset import DATASET
from components.kohya.rules.ignored import IGNORED
from components.kohya.rules.node import NODE
from components.kohya.rules.refused import REFUSED
from components.kohya.rules.situation import Situation, broken

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from components.kohya.options import Script
    from components.kohya.problem import Problem

RULES: Final = (*REFUSED, *IGNORED, *DATASET, *NODE)
_WORST_FIRST: Final = list(Severity)


def refusals(
    script: Script,
    options: Mapping[str, Any],
    config: Mapping[str, Any],
    gpu_count: int = 1,
    *,
    interruptible: bool = False,
    packages: Collection[str] = (),
    models: Collection[str] = (),
) -> list[Problem]:
    """Return what would go wrong in a training, the worst first.

    Args:
        script: the script.
        options: of its command, checked before by `options.check_extra` and `names.check_names`; None and
            False are the same as left out.
        config: the dataset configuration as it will be written. Where its schema refuses it, only that is
            returned.
        gpu_count: how many GPUs train together.
        interruptible: whether the node may be taken away at any time.
        packages: what is installed, by the names that Python imports, beside sd-scripts' requirements.
        models: names of the GPUs that it may get.
    """
    if found := misfits(config):
        return found
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    everything = values(LORA, {}) | values(FULL, {}) | values(script, given)
    datasets = tuple(resolved(config, given))
    situation = Situation(
        script=script,
        o=SimpleNamespace(**everything),
        given=given,
        config=config,
        datasets=datasets,
        gpus=gpu_count,
        interruptible=interruptible,
        packages=packages,
        models=models,
    )
    problems = broken(RULES, situation)
    return sorted(problems, key=lambda problem: _WORST_FIRST.index(problem.severity))
