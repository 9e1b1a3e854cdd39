"""Plain HTTP to this machine itself, for a machine that has no real curl or wget."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from programs.console import say, warn

if TYPE_CHECKING:
    from programs.curl_options import Options


def curl(options: Options) -> int:
    """Do what `curl` would: GET, HEAD or POST of `--data`, to stdout or a file."""
    url = options.urls[0]
    data = options.values.get("data")
    method = options.values.get("request") or (
        "HEAD" if "head" in options.flags else "POST" if data else "GET"
    )
    full = url if "//" in url else f"http://{url}"
    body = data.encode() if data else None
    call = urllib.request.Request(full, body, method=method)  # noqa: S310 - a URL of this machine
    for header in options.headers:
        name, _, value = header.partition(":")
        call.add_header(name.strip(), value.strip())
    limit = float(options.values.get("max-time", "300"))
    try:
        with urllib.request.urlopen(call, timeout=limit) as answer:  # noqa: S310 - a URL of this machine
            status, received = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, received = error.code, error.read()
    except OSError:
        return _failed(options, 7, f"Failed to connect to {call.host} after 0 ms: Couldn't connect to server")
    if status >= 400 and "fail" in options.flags:
        return _failed(options, 22, f"The requested URL returned error: {status}")
    output = options.values.get("output")
    if output and output != "-":
        Path(output).write_bytes(received)
    else:
        sys.stdout.buffer.write(received)
        sys.stdout.flush()
    say(options.values.get("write-out", "").replace("%{http_code}", str(status)).replace("\\n", "\n"), end="")
    return 0


def _failed(options: Options, code: int, reason: str) -> int:
    say(options.values.get("write-out", "").replace("%{http_code}", "000").replace("\\n", "\n"), end="")
    if options.tells_errors:
        warn(f"curl: ({code}) {reason}")
    return code
