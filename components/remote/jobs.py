"""Jobs on a machine, asked after and waited for. Knows no Pulumi."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from components.errors import JobFailed, Unreachable
from components.remote.job import Job, JobStatus, log_script, parse_status, start_script, status_script

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.remote.shell import Shell

_POLL: Final = 1.0
_TAIL_BYTES: Final = 16384


def finish(shell: Shell, jobs: list[Job], limit: float, say: Callable[[str], None]) -> None:
    """Wait until `jobs` are done; one that failed or was lost in an earlier run is started again first.

    Raises:
        JobFailed: one failed or was lost.
        Unreachable: they are not done after `limit` seconds.
    """
    deadline = time.monotonic() + limit
    told = ""
    for job in jobs:
        shell.run(f"starting {job.name}", start_script(job))
    while jobs:
        found = states(shell, [job.name for job in jobs])
        for name, each in found.items():
            if each.state in ("failed", "lost"):
                raise JobFailed(name, each.state, each.exit_code, tail(shell, each))
        left = [each for each in found.values() if each.state != "done"]
        if not left:
            return
        if time.monotonic() > deadline:
            raise Unreachable(
                f"{', '.join(each.name for each in left)}: not done after {limit / 60:g} minutes"
            )
        news = "; ".join(f"{each.name}: {each.tail or 'running'}" for each in left)
        if news != told:
            say(news)
            told = news
        time.sleep(_POLL)


def state(shell: Shell, name: str) -> JobStatus:
    """Return the state of the job called `name`."""
    return states(shell, [name])[name]


def states(shell: Shell, names: list[str]) -> dict[str, JobStatus]:
    """Return the state of each of the named jobs."""
    return parse_status(shell.run("asking after jobs", status_script(names)))


def tail(shell: Shell, job: JobStatus) -> str:
    """Return the end of a job's log."""
    offset = max(0, job.log_bytes - _TAIL_BYTES)
    return shell.read("reading a log", log_script(job.name, offset)).decode("utf-8", errors="replace").strip()
