"""What a person is told when the work on a machine fails: the diagnosis, then how its log ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from job_machine import Machine

from components.errors import TrainingFailed
from components.kohya.training import prepare
from components.remote.job import Job


class Here(Machine):
    """A machine without a connection in between."""

    def run(self, what: str, script: str | None = None) -> str:
        return super().run(script or what)

    def read(self, what: str, command: str) -> bytes:
        return self.run(what, command).encode()


def test_a_failed_preparation_is_explained_before_its_log(tmp_path: Path) -> None:
    script = "seq 1000\necho 'OSError: [Errno 28] No space left on device'\nseq 9\nexit 3"

    with pytest.raises(TrainingFailed) as failure:
        prepare(Here(tmp_path / "workspace"), [Job("install", script)], 60, print)  # type: ignore[arg-type]

    first, diagnosis, said, _, ends, *lines = str(failure.value).splitlines()
    assert first.startswith("install failed on the machine (exit code 3). The machine still bills")
    assert diagnosis.startswith("The machine's disk is full")
    assert said == "  said: OSError: [Errno 28] No space left on device"
    assert ends == "Its log ends:"
    assert lines[-10:] == ["OSError: [Errno 28] No space left on device", *map(str, range(1, 10))]
