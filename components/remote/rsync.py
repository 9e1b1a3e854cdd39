"""Changed big files by rsync's delta, over the system's `ssh`."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from io import TextIOWrapper
from pathlib import PurePosixPath
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final, cast

from components.remote import openssh
from components.remote.job import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import BufferedReader
    from pathlib import Path

    from components.remote.manifest import File
    from components.remote.progress import Progress
    from components.remote.shell import Shell

_DONE: Final = re.compile(r"\s*(\d+) +\d+%")
_SENT: Final = re.compile(r"Total bytes sent: (\d+)")


def usable(shell: Shell) -> bool:
    """Tell whether this computer and the machine have rsync, and this computer the `ssh` that it needs."""
    here = shutil.which("rsync") is not None and openssh.installed()
    return here and bool(shell.run("looking for rsync", "command -v rsync || true"))


def update(
    shell: Shell, source: Path, files: Iterable[File], target: str, basis: str, progress: Progress
) -> int:
    """Make `files` of `source` whole in `target`, out of what is there or else in `basis`, and the rest.

    Args:
        shell: the machine.
        source: folder of the files.
        files: what to send.
        target: folder on the machine, relative to the workspace; a half file stays there.
        basis: folder beside it with older versions of them; it is left as it is.
        progress: is told.

    Returns:
        The bytes that were sent.

    Raises:
        RemoteError: as `openssh.check`.
    """
    workspace = PurePosixPath(shell.run("looking for the workspace", f'cd "{WORKSPACE}" && pwd').strip())
    options = (
        *("--secluded-args", "--from0", "--files-from=-"),
        *(
            "--copy-links",
            "--chmod=F644",
            "--partial",
            "--ignore-times",
            f"--compare-dest={workspace / basis}",
        ),
        *("--no-human-readable", "--outbuf=L", "--info=progress2", "--stats"),
    )
    done = sent = 0
    with openssh.private(shell) as ssh, TemporaryFile() as names:
        names.write(b"".join(file.path.encode() + b"\0" for file in files))
        names.seek(0)
        destination = f"{openssh.MACHINE}:{workspace / target}/"
        command = ["rsync", *options, "-e", shlex.join(ssh), f"{source}/", destination]
        with openssh.running("sending changes", command, stdin=names, stdout=subprocess.PIPE) as child:
            for line in TextIOWrapper(cast("BufferedReader", child.stdout), errors="replace"):
                if found := _DONE.match(line):
                    progress.add(int(found[1]) - done)
                    done = int(found[1])
                elif found := _SENT.match(line):
                    sent = int(found[1])
    return sent
