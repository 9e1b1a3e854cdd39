"""What a Pulumi program declares of sd-scripts: `TrainingRun`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi  # noqa: TC002 - Pulumi resolves the annotations of outputs
from pulumi.dynamic import Resource

from components.kohya.provider import TrainingRunProvider

if TYPE_CHECKING:
    from components.kohya.plan import Plan
    from components.remote.resource import Reach


class TrainingRun(Resource, module="kohya", name="TrainingRun"):
    """A training that goes on detached once its first step was seen.

    Outputs: `run`, its name; `steps`, how many it will take.
    """

    run: pulumi.Output[str]
    steps: pulumi.Output[int]

    def __init__(
        self, name: str, reach: Reach, plan: Plan, limit: float, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare that `plan` is trained; `limit` is in seconds, for each wait before its first step."""
        props = {
            "machine": reach.machine_id,
            "login": reach.login(),
            "run": plan.run,
            "preparations": {job.name: job.script for job in plan.preparations},
            "script": plan.training.script,
            "limit": limit,
            "steps": None,
        }
        super().__init__(TrainingRunProvider(), name, props, reach.options(opts))
