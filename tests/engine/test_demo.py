"""`./fragua demo` as a newcomer runs it, and as it ends when something breaks."""

import os
import re
import signal
import subprocess
from hashlib import sha256

from toolchain.bootstrap import ROOT


def tracked() -> str:
    done = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_demo_passes_changes_no_tracked_file_and_breaks_off_cleanly() -> None:
    before = tracked()
    done = subprocess.run(
        ["./fragua", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"demo: PASS checkpoints=2 images=1 billed=\$\d+\.\d\d billing-now=0", last)
    assert "0 instances billing" in done.stdout
    assert tracked() == before
    home = re.search(r"brought home (\S+\.safetensors) \(.* MB\), sha256 ([0-9a-f]{16})", done.stdout)
    assert home
    assert sha256((ROOT / home[1]).read_bytes()).hexdigest().startswith(home[2])

    command = ["./fragua", "demo"]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert running.stdout
    assert any("is billed from now" in line for line in running.stdout)
    os.killpg(running.pid, signal.SIGINT)
    rest, _ = running.communicate(timeout=120)

    assert running.returncode != 0
    assert rest.strip().splitlines()[-1] == "demo: FAIL interrupted"
    assert not (ROOT / ".fragua/demo/cloud/pid").exists()
