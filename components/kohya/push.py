"""The job that pushes a run's saves to a bucket, beside the training that makes them. Pure.

The machine tells whether a save is whole by home's own rule and code: `pushing` goes there with `progress`.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from components.kohya import progress, pushing
from components.remote.job import WORKSPACE, Job, stop_script
from components.remote.package import needed
from components.remote.store import log_in

NAME: Final = "bucket"
_FOLDER: Final = ".fragua/pushing"
_RCLONE: Final = f"""cat > {_FOLDER}/rclone.sh <<'END-OF-PROGRAM'
{log_in(NAME)}# a key for one bucket alone may not ask to create it, which rclone does otherwise
export RCLONE_S3_NO_CHECK_BUCKET=true
exec rclone "$@"
END-OF-PROGRAM
"""
"""It logs in each time: a key that was revoked is replaced by `pulumi up` while the job runs."""

INSTALL: Final = Job(NAME, f"{needed('command -v rclone', 'rclone')}\nrclone version\n")
"""What has to be done before; what rclone needs to log in comes with it."""


def job_name(run: str) -> str:
    """Return the name of the job that pushes the saves of `run`; the watchdog knows it by that."""
    return f"push-{run}"


def push(run: str, index: int, target: str) -> Job:
    """Return the job that pushes what `run` saves on its machine, to the end of its part `index`."""
    folder = f"{_FOLDER}/components/kohya"
    files = "".join(
        f"cat > {folder}/{path.name} <<'END-OF-PROGRAM'\n{path.read_text(encoding='utf-8')}END-OF-PROGRAM\n"
        for path in (Path(each.__file__ or "") for each in (progress, pushing))
    )
    return Job(
        job_name(run),
        f"""mkdir -p {folder}
{files}{_RCLONE}export PYTHONPATH={_FOLDER}
exec python3 -m components.kohya.pushing {run} {index} {shlex.quote(target)}
""",
    )


def end_script(run: str) -> str:
    """Return a script after which nothing of `run` is pushed, and none of it counts as pushed."""
    name = job_name(run)
    return f"""{stop_script(name)}cd "{WORKSPACE}/.fragua"
rm -rf jobs/{name}/exit held/{run}
"""
