"""Long work on a machine, detached from any connection: the scripts that start it and ask after it. Pure.

A job lives in `$WORKSPACE/.fragua/jobs/NAME`: `script`, `digest` of the script, `log`, and `exit` once it
has ended. Its processes hold a lock on `lock`, so that what a reboot killed is told from what still runs.
Starting is idempotent: a job that runs or has succeeded with the same script is left alone.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

WORKSPACE: Final = "${WORKSPACE:-/workspace}"
"""Where everything goes; Vast.ai's images set WORKSPACE."""

BOOT: Final = ".fragua/boot"
"""A script in the workspace that runs each time that the machine's container starts, if it is there."""

_SETTLE_SECONDS: Final = 10

State = Literal["absent", "running", "done", "failed", "lost"]
"""lost: it began, and neither runs nor has ended, as after a reboot."""


@dataclass(frozen=True)
class Job:
    """A bash script to run once on a machine, with the workspace as its working directory.

    Attributes:
        name: a word; the job's folder.
        script: bash, run with `set -euo pipefail`.
        token: the name of the token that it sends, which must lie there; empty if it sends none.
    """

    name: str
    script: str
    token: str = ""

    @property
    def digest(self) -> str:
        """Identifies the script."""
        return sha256(self.script.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class JobStatus:
    """What `status_script` tells of one job."""

    name: str
    state: State
    exit_code: int | None
    log_bytes: int
    tail: str
    """The last words of the log, for a person."""


def start_script(job: Job) -> str:
    """Return a script that starts `job` unless it runs or is done, and prints one short JSON line.

    An older job of the same name with another script is stopped first.
    """
    mark = f"END-{job.digest}"
    return f"""set -eu
dir="{WORKSPACE}/.fragua/jobs/{job.name}"
mkdir -p "$dir"
cd "$dir"
exec 9>>lock
busy() {{ ! flock -n 9; }}
if [ "$(cat digest 2>/dev/null)" = {job.digest} ]; then
  if [ "$(cat exit 2>/dev/null)" = 0 ] || {{ [ ! -e exit ] && busy; }}; then
    echo '{{"job": "{job.name}", "digest": "{job.digest}"}}'
    exit 0
  fi
fi
if busy; then
  kill -TERM -- "-$(cat group)" 2>/dev/null || true
  flock -w {_SETTLE_SECONDS} 9 || {{ kill -KILL -- "-$(cat group)"; flock 9; }}
fi
rm -f exit group
cat > script <<'{mark}'
set -euo pipefail
{job.script}
{mark}
echo {job.digest} > digest
: > log
setsid bash -c '
  echo $$ > group
  cd "$1"
  code=0
  bash "$2/script" || code=$?
  echo $code > "$2/exit.part"
  mv "$2/exit.part" "$2/exit"
' job "{WORKSPACE}" "$dir" >> log 2>&1 < /dev/null &
echo '{{"job": "{job.name}", "digest": "{job.digest}"}}'
"""


def stop_script(name: str) -> str:
    """Return a script that ends the job called `name`, or those that match it as a pattern, wholly."""
    return f"""for dir in "{WORKSPACE}"/.fragua/jobs/{name}; do
  cd "$dir" 2>/dev/null || continue
  exec 9>>lock
  flock -n 9 && continue
  kill -TERM -- "-$(cat group)" 2>/dev/null || continue
  flock -w {_SETTLE_SECONDS} 9 || kill -KILL -- "-$(cat group)"
done
"""


def status_script(names: list[str]) -> str:
    """Return a script that prints the status of each named job, for `parse_status`."""
    return f"""for name in {shlex.join(names)}; do
  cd "{WORKSPACE}/.fragua/jobs/$name" 2>/dev/null || {{ echo "$name absent - 0"; echo; continue; }}
  if [ -e exit ]; then code=$(cat exit); if [ "$code" = 0 ]; then state=done; else state=failed; fi
  # it may have ended since the line above
  elif ( exec 9>>lock; flock -n 9 && [ ! -e exit ] ); then code=-; state=lost
  else code=-; state=running; fi
  echo "$name $state $code $(stat -c %s log 2>/dev/null || echo 0)"
  echo "$(tail -c 400 log 2>/dev/null | tr '\\r' '\\n' | sed '/^[[:space:]]*$/d' | tail -n 1 | cut -c 1-200)"
done
"""


def parse_status(output: str) -> dict[str, JobStatus]:
    """Read what `status_script` printed."""
    found: dict[str, JobStatus] = {}
    lines = output.rstrip("\n").split("\n")
    for head in range(0, len(lines), 2):
        name, state, code, size = lines[head].split()
        tail = lines[head + 1] if head + 1 < len(lines) else ""
        exit_code = None if code == "-" else int(code)
        found[name] = JobStatus(name, state, exit_code, int(size), tail.strip())  # type: ignore[arg-type]
    return found


def log_script(name: str, offset: int, limit: int = 262144) -> str:
    """Return a script that prints the job's log from byte `offset`, at most `limit` bytes of it."""
    return f'tail -c +{offset + 1} "{WORKSPACE}/.fragua/jobs/{name}/log" | head -c {limit}'
