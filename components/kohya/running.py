"""A run on the machine of a resource: begun, told of another bucket, and ended. Knows no Pulumi."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from components.errors import BucketFailed, RemoteError
from components.kohya.launch import Launch
from components.kohya.push import end_script, job_name
from components.kohya.run import Run, silent
from components.kohya.training import name_of, prepare, stop
from components.remote.job import Job
from components.remote.jobs import state
from components.remote.shell import PATIENCE, Login, connect
from components.say import say


def begin(props: dict[str, Any]) -> int:
    """Wait for the preparations, start or go on with the run of a resource, and wait for its first step.

    Returns:
        The steps of the whole run.
    """
    launch = Launch.model_validate_json(props["launch"])
    with connect(Login.of(props["login"]), PATIENCE) as shell:
        jobs = [Job(name, script) for name, script in props["preparations"].items()]
        prepare(shell, jobs, props["limit"], say)
        run, machine = Run(launch, Path(props["home"]), shell), int(props["machine"])
        _take_pushed(run, machine)
        if run.complete:
            folders = f"that folder{' and that in the bucket' if launch.bucket else ''}"
            say(f"{launch.run} is complete in {props['home']}; to train it again, move {folders} away")
        else:
            follower = run.go_on(shell, machine, props["limit"])
            progress = run.overall(follower.progress)
            dollars = progress.seconds_left / 3600 * props["price"]
            rate = f"{progress.seconds_per_step:.2f} s a step, about ${dollars:.2f} to the end"
            say(f"training {launch.run}: {progress}, {rate}")
            if launch.bucket:
                say(f"bucket: {state(shell, job_name(launch.run)).tail}")
        return run.ledger.epochs * run.ledger.steps_per_epoch


def end(props: dict[str, Any]) -> None:
    """Stop the training of a resource where its machine can be reached; where not, nothing is left."""
    # stacks of 1/6 have one job of another name
    jobs = name_of(props["run"], "*") if "launch" in props else "training"
    with suppress(RemoteError), connect(Login.of(props["login"])) as shell:
        stop(shell, jobs)


def change_bucket(props: dict[str, Any]) -> None:
    """Have the machine of a resource push to another bucket or none from now on, if its run goes on there.

    Raises:
        RemoteError: it is not reached.
    """
    with connect(Login.of(props["login"]), PATIENCE) as shell:
        launch = Launch.model_validate_json(props["launch"])
        run = Run(launch, Path(props["home"]), shell)
        if not launch.bucket:
            shell.run("pushing no more", end_script(launch.run))
        elif run.ledger.parts and run.ledger.parts[-1].machine == int(props["machine"]):
            run.push(shell)


def _take_pushed(run: Run, machine: int) -> None:
    """Bring home what other machines than `machine` pushed.

    Raises:
        BucketFailed: it cannot be read, though something of the run may be there.
    """
    if run.ledger.parts and run.ledger.parts[-1].machine == machine:
        return
    try:
        for path in run.take(silent):
            say(f"brought home {path.name} from the bucket")
    except BucketFailed as error:
        if run.ledger.parts:
            raise
        say(f"{error}; the training begins all the same")
