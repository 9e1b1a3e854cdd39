"""Why a training failed, from its log: for a person, or as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from components.kohya.diagnosis import diagnose, ending


def run(file: str, exit_code: int | None, *, as_json: bool) -> int:
    """Diagnose the log in `file`, `-` for standard input.

    Returns:
        0 where something was found, 1 where nothing was, 2 where the file cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        print(
            f"fragua: {file}: {error.strerror}. Give the path of a log, or - to pipe it in.", file=sys.stderr
        )
        return 2
    log = data.decode("utf-8", "replace")
    found = diagnose(log, exit_code)
    if as_json:
        print(json.dumps({"diagnoses": [asdict(each) for each in found], "ending": ending(log)}, indent=2))
    elif found:
        print("\n\n".join(map(str, found)))
    else:
        print(f"Nothing known is in this log. It ends:\n{ending(log)}")
    return 0 if found else 1
