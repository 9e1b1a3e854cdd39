"""How commands speak where nobody listens any more."""

from __future__ import annotations

import subprocess
import sys

_TALKS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from cli.console import Voice
voice = Voice()
sys.stdin.read()
with ThreadPoolExecutor() as pool:
    pool.submit(voice.line, "what nobody hears").result()
voice.title("the end")
print("demo: PASS", flush=True)
sys.exit(7)
"""


def test_who_is_heard_no_more_goes_on_silently() -> None:
    talking = subprocess.Popen(
        [sys.executable, "-c", _TALKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert talking.stdout
    talking.stdout.close()

    assert talking.communicate(timeout=60)[1] == ""
    assert talking.returncode == 7
