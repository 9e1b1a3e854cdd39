"""What a machine pushes to a bucket beside its training: the real job, with a folder as the bucket."""

from __future__ import annotations

import os
import shutil
import sysconfig
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from job_machine import WAIT, Machine, until

from components.kohya.push import INSTALL, end_script, job_name, push
from components.remote.bucket import lists
from components.remote.job import Job, stop_script
from components.remote.store import environment_script

RUN = "cat-12ab34cd"


class Training:
    """A machine on which something plays the trainer."""

    def __init__(self, folder: Path) -> None:
        self.bucket = folder / "bucket"
        self.machine = Machine(folder / "machine")
        self.secret = environment_script(INSTALL.name, {"RCLONE_CONFIG_STORE_TYPE": "local"})
        self.machine.run(self.secret)
        self.write("ledger.json", "{}")

    @property
    def run(self) -> Path:
        return self.machine.workspace / "runs" / RUN

    def write(self, name: str, text: str) -> None:
        path = self.run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def said(self, text: str, part: int = 1) -> None:
        """Let the trainer print."""
        log = self.machine.path("log", f"train-{RUN}-{part}")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(text)

    def ended(self, code: int, part: int = 1) -> None:
        self.machine.path("exit", f"train-{RUN}-{part}").write_text(f"{code}\n")

    def saves(self, epoch: int, part: int = 1, name: str = "") -> None:
        """Save a checkpoint, whose writing has ended when this returns, and begin a state."""
        name = name or f"cat-{epoch:06}"
        self.said(f"\nsaving checkpoint: runs/{RUN}/part-{part}/{name}.safetensors\n", part)
        self.write(f"part-{part}/{name}.safetensors", f"weights {epoch}")
        self.said(f"\nsaving state at epoch {epoch}\n", part)
        self.write(f"part-{part}/{name}-state/model.safetensors", f"weights {epoch}")
        self.write(f"part-{part}/{name}-state/deep er/optimizer.bin", f"moments {epoch}")

    def push(self, part: int = 1) -> None:
        script = push(RUN, part, f"store:{self.bucket}").script.replace("_POLL = 5.0", "_POLL = 0.1")
        self.machine.start(script, job_name(RUN))

    def log(self) -> list[str]:
        return self.machine.log(job_name(RUN)).splitlines()

    def until(self, line: str) -> None:
        until(lambda: line in self.log())

    @property
    def whole(self) -> list[str]:
        """The saves in the bucket that are whole, each of which is as it was."""
        found = lists(self.bucket / RUN)
        for path, hashes in found.items():
            folder = (self.bucket / RUN / path).parent
            assert hashes == {name: sha256((folder / name).read_bytes()).hexdigest() for name in hashes}
        return sorted(found)


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/rclone").symlink_to(Path(sysconfig.get_path("scripts"), "rclone"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return Training(tmp_path)


def test_each_save_is_pushed_once_it_is_whole_and_all_of_them_at_the_end(training: Training) -> None:
    training.said("epoch 1/4\n")
    training.push()
    training.until(f"pushing to store:{training.bucket}/{RUN}")
    training.saves(1)
    training.until("pushed part-1/cat-000001.safetensors")
    assert training.whole == ["part-1/cat-000001.safetensors"]  # the state may still grow

    training.said("\nepoch 2/4\n")
    training.until("pushed part-1/cat-000001-state")
    for epoch in (2, 3):
        training.saves(epoch)
        training.said(f"\nepoch {epoch + 1}/4\n")
        training.until(f"pushed part-1/cat-{epoch:06}-state")
    training.said(f"\nsaving checkpoint: runs/{RUN}/part-1/cat.safetensors\n")
    training.write("part-1/cat.safetensors", "weights 4")
    training.write("part-1/sample/cat_e000001_00_1_1.png", "an image")
    training.said("\nmodel saved.\n")
    training.ended(0)

    assert training.machine.ended(job_name(RUN)).exit_code == 0
    assert [line.removeprefix("pushed part-1/") for line in training.log()[1:-1]] == [
        "cat-000001.safetensors",
        "cat-000001-state",
        "cat-000002.safetensors",
        "cat-000002-state",
        "cat-000003.safetensors",
        "cat-000003-state",
        "cat.safetensors",
    ]
    assert training.whole == [
        "part-1/cat-000001.safetensors",
        "part-1/cat-000002-state",
        "part-1/cat-000002.safetensors",
        "part-1/cat-000003-state",
        "part-1/cat-000003.safetensors",
        "part-1/cat.safetensors",
    ]
    assert not (training.bucket / RUN / "part-1/cat-000001-state").exists()
    log = training.machine.path("log", f"train-{RUN}-1")
    for name, path in {
        "ledger.json": training.run / "ledger.json",
        "part-1/training.log": log,
        "part-1/sample/cat_e000001_00_1_1.png": training.run / "part-1/sample/cat_e000001_00_1_1.png",
    }.items():
        assert (training.bucket / RUN / name).read_bytes() == path.read_bytes()


def test_what_was_pushed_by_half_is_pushed_anew_and_the_rest_is_left_alone(training: Training) -> None:
    """The job was killed before the list of a save; what another run left under its name is not believed."""
    training.saves(1)
    training.saves(2)
    training.said("\nepoch 3/4\n")
    shutil.rmtree(training.run / "part-1/cat-000002-state")
    training.push()
    training.until("part-1/cat-000002-state is not there any more")
    pushed = training.bucket / RUN / "part-1"
    (pushed / "cat-000001.safetensors.sha256").unlink()
    (pushed / "cat-000001.safetensors").write_text("half")
    stamp = (pushed / "cat-000002.safetensors").stat().st_mtime_ns
    training.saves(3, part=2)
    (training.bucket / RUN / "part-2").mkdir()
    (training.bucket / RUN / "part-2/cat-000003.safetensors.sha256").write_text(
        f"{sha256(b'other').hexdigest()}  cat-000003.safetensors\n"
    )
    training.ended(1, part=2)
    training.push(part=2)

    assert training.machine.ended(job_name(RUN)).exit_code == 2
    assert training.whole == [
        "part-1/cat-000001.safetensors",
        "part-1/cat-000002.safetensors",
        "part-2/cat-000003.safetensors",
    ]
    assert (pushed / "cat-000002.safetensors").stat().st_mtime_ns == stamp


def test_what_the_bucket_refuses_is_said_and_tried_again(training: Training) -> None:
    training.saves(1)
    training.said("\nmodel saved.\n")
    training.ended(0)
    training.bucket.write_text("no folder")
    training.push()
    until(lambda: len(training.log()) > 1)
    assert all(line.startswith("refused, trying again: ") for line in training.log())
    assert str(training.bucket) in training.log()[0]
    assert not (training.machine.workspace / ".fragua/held" / RUN).exists()

    training.bucket.unlink()

    assert training.machine.ended(job_name(RUN)).exit_code == 0
    assert training.whole == ["part-1/cat-000001-state", "part-1/cat-000001.safetensors"]


def test_a_key_that_was_revoked_is_replaced_while_it_pushes(training: Training) -> None:
    training.machine.run(environment_script(INSTALL.name, {"RCLONE_CONFIG_STORE_TYPE": "none"}))
    training.saves(1)
    training.said("\nmodel saved.\n")
    training.ended(0)
    training.push()
    until(training.log)
    training.machine.run(training.secret)

    assert training.machine.ended(job_name(RUN)).exit_code == 0
    assert len(training.whole) == 2


def test_what_a_training_saved_until_it_was_stopped_is_pushed(training: Training) -> None:
    """As where a changed job takes its machine over."""
    trainer = f"train-{RUN}-1"
    training.machine.start(WAIT, trainer)
    training.saves(1)
    training.said("\nepoch 2/4\n")
    training.push()
    training.until("pushed part-1/cat-000001-state")
    training.saves(2)
    training.said("\nepoch 3/4\n")
    assert training.machine.status(job_name(RUN)).state == "running"
    training.machine.run(stop_script(trainer))

    assert training.machine.ended(job_name(RUN)).exit_code == 2
    assert len(training.whole) == 4


def test_what_cannot_be_held_is_not_taken_for_gone(training: Training) -> None:
    """Else the machine would end itself with what was never pushed. No link leads to another file system."""
    held = training.machine.workspace / ".fragua/held"
    training.saves(1)
    training.said("\nmodel saved.\n")
    training.ended(0)
    with TemporaryDirectory(dir="/dev/shm") as other:
        held.symlink_to(other)
        training.push()
        until(lambda: "cross-device" in "".join(training.log()))
        assert training.whole == []
        held.unlink()

    assert training.machine.ended(job_name(RUN)).exit_code == 0
    assert len(training.whole) == 2


def test_what_a_bucket_has_that_was_taken_away_does_not_count_as_pushed(training: Training) -> None:
    training.push()
    training.until(f"pushing to store:{training.bucket}/{RUN}")
    training.machine.run(end_script(RUN))
    assert training.machine.status(job_name(RUN)).state == "lost"

    training.said("\nmodel saved.\n")
    training.ended(0)
    training.push()
    assert training.machine.ended(job_name(RUN)).state == "done"
    training.machine.run(end_script(RUN))
    assert training.machine.status(job_name(RUN)).state == "lost"


def test_a_list_that_names_files_beside_its_save_counts_for_nothing(tmp_path: Path) -> None:
    """Whoever can write into the bucket can write such a list."""
    digest = sha256(b"").hexdigest()
    part = tmp_path / "part-1"
    part.mkdir()
    for number, name in enumerate(
        ("../x", "/x", "cat-2", "cat-3/../x", "cat-4/x", "", "cat-6\0", f"cat-7{'y' * 300}")
    ):
        (part / f"cat-{number}.sha256").write_text(f"{digest}  {name}\n")
    (part / "cat-8.sha256").write_text("")
    for number, name in enumerate(("", "/x/../../y", "/x\0", f"/{'y' * 300}", "/deep er/x")):
        (part / f"cat-{number}-state.sha256").write_text(f"{digest}  cat-{number}-state{name}\n")

    assert lists(tmp_path) == {
        "part-1/cat-2": {"cat-2": digest},
        "part-1/cat-4-state": {"cat-4-state/deep er/x": digest},
    }


def test_rclone_is_installed_where_it_is_missing_and_its_secrets_are_in_no_script() -> None:
    assert isinstance(INSTALL, Job)
    assert "apt-get install" in INSTALL.script
    assert "RCLONE_CONFIG" not in INSTALL.script + push(RUN, 1, "store:bucket").script
