"""How `accelerate launch` ends when it fails: tracebacks as Python 3.11 sets them, and torch's report.

Lines of accelerate are those of 1.6.0; lines of torch are from memory of its 2.7.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from programs.console import fail, warn
from programs.environment import Environment

_MAIN = (
    ("bin/accelerate", 10, "<module>", "sys.exit({main()})"),
    ("accelerate/commands/accelerate_cli.py", 50, "main", "args.func(args)"),
)
_LAUNCH = "accelerate/commands/launch.py"
_VALIDATION = (
    _LAUNCH,
    1189,
    "launch_command",
    "args, defaults, mp_from_config_flag = {_validate_launch_command(args)}",
)
# File, line, function, and code: what the marks below stand under is in braces.
_FRAMES = {
    "interrupted": (
        (_LAUNCH, 1213, "launch_command", "simple_launcher(args)"),
        (_LAUNCH, 793, "simple_launcher", "process.wait()"),
    ),
    "one_process": (
        (_LAUNCH, 1213, "launch_command", "simple_launcher(args)"),
        (
            _LAUNCH,
            795,
            "simple_launcher",
            "raise subprocess.CalledProcessError(returncode=process.returncode, cmd=cmd)",
        ),
    ),
    "processes": (
        (_LAUNCH, 1204, "launch_command", "multi_gpu_launcher(args)"),
        (_LAUNCH, 825, "multi_gpu_launcher", "distrib_run.run(args)"),
        ("torch/distributed/run.py", 883, "run", "elastic_launch("),
        (
            "torch/distributed/launcher/api.py",
            139,
            "__call__",
            "return {launch_agent(self._config, self._entrypoint, list(args))}",
        ),
        ("torch/distributed/launcher/api.py", 270, "launch_agent", "raise ChildFailedError("),
    ),
    "only_one": (_VALIDATION, (_LAUNCH, 1006, "_validate_launch_command", "raise ValueError(")),
    "few_processes": (
        _VALIDATION,
        (
            _LAUNCH,
            1010,
            "_validate_launch_command",
            'raise ValueError("You need to use at least 2 processes to use `--multi_gpu`.")',
        ),
    ),
    "no_config": (
        _VALIDATION,
        (
            _LAUNCH,
            1017,
            "_validate_launch_command",
            "defaults = {load_config_from_file(args.config_file)}",
        ),
        (
            "accelerate/commands/config/config_args.py",
            46,
            "load_config_from_file",
            "raise FileNotFoundError(",
        ),
    ),
}


def crash(where: str, last_lines: str) -> NoReturn:
    """End as an exception that nobody caught ends a program.

    Args:
        where: the name of the frames.
        last_lines: what stands below them.
    """
    fail(_traceback(where, last_lines), 1)


def interrupted() -> NoReturn:
    """End as Python ends where Ctrl-C was pressed: with a traceback, then by the signal."""
    warn(_traceback("interrupted", "KeyboardInterrupt"))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.raise_signal(signal.SIGINT)
    sys.exit(130)


def _traceback(where: str, last_lines: str) -> str:
    environment = Environment(Path(sys.prefix))
    lines = ["Traceback (most recent call last):"]
    for name, line, function, code in (*_MAIN, *_FRAMES[where]):
        folder = sys.prefix if name.startswith("bin/") else environment.packages
        before, brace, rest = code.partition("{")
        marked = rest.partition("}")[0]
        lines += [f'  File "{folder}/{name}", line {line}, in {function}', f"    {_plain(code)}"]
        if brace:
            lines.append("    " + " " * len(before) + "^" * len(marked))
    return "\n".join([*lines, last_lines])


def elastic_log(pid: int, code: int, python: str) -> str:
    """Return the line that torch's elastic launcher logs when a process has failed."""
    now = time.time()
    moment = time.strftime("%m%d %H:%M:%S", time.localtime(now)) + f".{int(now % 1 * 1000):03d}000"
    return (
        f"E{moment} {os.getpid()} torch/distributed/elastic/multiprocessing/api.py:874] "
        f"failed (exitcode: {code}) local_rank: 0 (pid: {pid}) of binary: {python}"
    )


def elastic_report(script: str, pid: int, code: int) -> str:
    """Return what the launcher's exception says of the process that failed."""
    hint = "To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html"
    report = [
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
        "=" * 60,
        f"{script} FAILED",
        "-" * 60,
        "Failures:",
        "  <NO_OTHER_FAILURES>",
        "-" * 60,
        "Root Cause (first observed failure):",
        "[0]:",
        f"  time      : {time.strftime('%Y-%m-%d_%H:%M:%S')}",
        f"  host      : {os.uname().nodename}",
        "  rank      : 0 (local_rank: 0)",
        f"  exitcode  : {code} (pid: {pid})",
        "  error_file: <N/A>",
        "  traceback : "
        + (hint if code > 0 else f"Signal {-code} ({signal.Signals(-code).name}) received by PID {pid}"),
        "=" * 60,
    ]
    return "\n".join(report)


def _plain(code: str) -> str:
    return code.replace("{", "").replace("}", "")
