"""Programs on a machine that are to run for good: started again when they end, one of each. Pure.

A service is a job that never ends. Its log says when the program ended, how, and when it is started again;
of a long one only the end is kept.
"""

from __future__ import annotations

import shlex
from typing import Final

from components.remote.job import Job

ENDED: Final = "ended with exit code"
"""What the log says each time the program has ended."""

_LONGEST_PAUSE: Final = 60
_STEADY_SECONDS: Final = 60
"""Who ran so long starts again at once; who ends sooner waits twice as long each time."""

_LOG_MOST: Final = 16 << 20
_LOG_KEPT: Final = 4 << 20
"""Bytes."""

_HOLDER: Final = r"""
import os, sys
port = f"{int(sys.argv[1]):04X}"
rows = [row.split() for name in ("tcp", "tcp6") if os.path.exists(f"/proc/net/{name}")
        for row in open(f"/proc/net/{name}").readlines()[1:]]
inodes = {row[9] for row in rows if row[1].endswith(":" + port) and row[3] == "0A"}
for pid in filter(str.isdigit, os.listdir("/proc") if inodes else []):
    try:
        held = {os.readlink(f"/proc/{pid}/fd/{each}") for each in os.listdir(f"/proc/{pid}/fd")}
        words = open(f"/proc/{pid}/cmdline").read().replace("\0", " ").strip()
    except OSError:
        continue
    if any(f"socket:[{inode}]" in held for inode in inodes):
        print(f"process {pid} ({words[:100]})")
        break
else:
    print("another process" if inodes else "")
"""


def service(name: str, port: int, command: str) -> Job:
    """Return the job that keeps `command` running, which listens on `port`.

    Args:
        name: of the job; the program's process id is in `.fragua/NAME.pid`.
        port: one that another program holds ends the job with that program's name.
        command: of bash, in the workspace; it must not go to the background.
    """
    return Job(
        name,
        f"""holder=$(python3 -c {shlex.quote(_HOLDER)} {port})
if [ "$holder" ]; then
  echo "{name}: port {port} is taken by $holder: end it, then run \\`pulumi up\\` again"
  exit 1
fi
run() {{
{command}
}}
bound() {{
  cd .fragua/jobs/{name}
  while sleep 60; do
    [ "$(stat -c %s log)" -gt {_LOG_MOST} ] || continue
    # whoever writes to it goes on; a full disk may have no room for the end
    if tail -c {_LOG_KEPT} log > log.end; then cat log.end > log; else : > log; fi
    rm -f log.end
  done
}}
bound &
pause=1 pid=
trap '[ -z "$pid" ] || kill -TERM $pid 2> /dev/null; exit 143' TERM INT
while true; do
  began=$SECONDS code=0
  run & pid=$!
  echo $pid > .fragua/{name}.pid
  wait $pid || code=$?
  lived=$((SECONDS - began))
  [ $lived -lt {_STEADY_SECONDS} ] || pause=1
  echo "{name} {ENDED} $code after $lived s; starting it again in $pause s"
  sleep $pause
  pause=$((pause * 2 > {_LONGEST_PAUSE} ? {_LONGEST_PAUSE} : pause * 2))
done
""",
    )
