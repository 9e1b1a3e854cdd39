"""What a Pulumi program declares of sd-scripts: `TrainingRun`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi  # noqa: TC002 - Pulumi resolves the annotations of outputs
from pulumi.dynamic import Resource

from components.kohya.provider import TrainingRunProvider

if TYPE_CHECKING:
    from pathlib import Path

    from components.kohya.plan import Plan
    from components.remote.resource import Reach


class TrainingRun(Resource, module="kohya", name="TrainingRun"):
    """A training that goes on detached once its first step was seen.

    Where an earlier machine was lost, it goes on after the last epoch whose state is at home.

    Outputs: `run`, its name; `steps`, how many it will take.
    """

    run: pulumi.Output[str]
    steps: pulumi.Output[int]

    def __init__(
        self,
        name: str,
        reach: Reach,
        plan: Plan,
        *,
        home: Path,
        price: pulumi.Input[float],
        limit: float,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare that `plan` is trained.

        Args:
            name: of the resource.
            reach: the machine.
            plan: what to do there.
            home: where the run's ledger, checkpoints and states are on this computer.
            price: $/h of the machine.
            limit: seconds for each wait before the first step.
            opts: of the resource.
        """
        props = {
            "machine": reach.machine_id,
            "login": reach.login(),
            "run": plan.launch.run,
            "preparations": {job.name: job.script for job in plan.preparations},
            "launch": plan.launch.model_dump_json(),
            "bucket": plan.launch.bucket,
            "home": str(home),
            "price": price,
            "limit": limit,
            "steps": None,
        }
        super().__init__(TrainingRunProvider(), name, props, reach.options(opts))
