"""A run's folder: what is written comes back, is whole at every moment, and damage is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from records import TEXTS, image, record_of

from components.record.model import Checkpoint, LossPoint, Record, Sample
from components.record.store import RecordUnusable, read, write

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@given(st.lists(TEXT, min_size=TEXTS, max_size=TEXTS), st.lists(st.floats() | st.none(), max_size=9))
def test_a_record_comes_back_as_it_was(shared: Path, texts: list[str], losses: list[float | None]) -> None:
    record = record_of(texts.__getitem__)
    points = tuple(LossPoint(step=step, loss=loss) for step, loss in enumerate(losses))
    record = record.model_copy(update={"loss": points})
    write(record, shared)
    assert read(shared) == record
    assert (shared / "run.html").read_text(encoding="utf-8").endswith("</html>\n")


def test_a_folder_without_a_record_has_none(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    assert read(tmp_path / "none") is None


def test_a_long_curve_is_written_short(tmp_path: Path) -> None:
    points = tuple(LossPoint(step=step, loss=step % 7 / 10) for step in range(10_000))
    write(record_of(loss=points), tmp_path)
    found = read(tmp_path)
    assert found is not None
    assert 1000 < len(found.loss) <= 2000


@given(st.data())
def test_any_damage_is_an_error_that_names_the_file(shared: Path, data: st.DataObject) -> None:
    write(record_of(), shared)
    path = shared / "run.json"
    content = path.read_bytes().rstrip()
    cut = data.draw(st.integers(0, len(content) - 1), label="bytes left")
    path.write_bytes(content[:cut] + data.draw(st.sampled_from([b"", b"\xff", b"]", b"[" * 99_999])))
    with pytest.raises(RecordUnusable, match=r"run\.json: damaged: .*move it away"):
        read(shared)


@pytest.mark.parametrize("content", [b"[]", b"null", b"{}", b'{"version": 0}', b'{"version": "2"}'])
def test_json_that_is_no_record_is_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RecordUnusable, match="damaged"):
        read(tmp_path)


def test_what_a_newer_fragua_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"version": 2, "name": "fox"}')
    with pytest.raises(RecordUnusable, match=r"newer fragua wrote it \(format 2, this one knows 1\): update"):
        read(tmp_path)


def test_a_full_disk_leaves_the_old_record_and_no_rubbish(tmp_path: Path) -> None:
    write(record_of(), tmp_path)
    (tmp_path / f".run.json.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(RecordUnusable, match=r"run\.json: cannot be written: No space left"):
        write(record_of(job="new"), tmp_path)
    assert read(tmp_path) == record_of()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.html", "run.json"]


WRITER = """
import sys
from pathlib import Path
from records import record_of
from components.record.store import write
while True:
    for job in ("short", "long" * 9999):
        write(record_of(job=job), Path(sys.argv[1]))
    print(flush=True)
"""


def test_it_is_whole_at_every_moment_also_when_the_writer_is_killed(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[3])])
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        seen: list[str] = []
        while len(seen) < 300 or len(set(seen)) < 2:
            record = read(tmp_path)
            assert record is not None
            seen.append(record.job)
        writer.kill()
    assert set(seen) == {"short", "long" * 9999}
    assert read(tmp_path) is not None


def test_samples_are_embedded_small_and_one_that_is_no_image_is_said(tmp_path: Path) -> None:
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample/1.png").write_bytes(image(1536, 1024))
    (tmp_path / "sample/2.png").write_bytes(image()[:200])
    write(record_of(), tmp_path)
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == 1
    assert 'width="512" height="341"' in page
    assert "sample/2.png is not here, or is no image" in page
    assert "sample/3.png is not here, or is no image" in page
    (tmp_path / "sample/2.png").write_bytes(image())
    write(record_of(), tmp_path)
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == 2, "a picture that changed is read again"


def test_the_long_metadata_of_a_checkpoint_are_left_out() -> None:
    metadata = {"ss_epoch": "3", "ss_tag_frequency": "a cat" * 999}
    checkpoint = Checkpoint(file="fox.safetensors", epoch=3, sha256="a" * 64, size=1, metadata=metadata)
    assert checkpoint.metadata == {"ss_epoch": "3"}


def test_a_folder_that_cannot_be_made_is_an_error_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordUnusable, match=r"run\.json: cannot be written: File exists"):
        write(record_of(), tmp_path / "file")


@pytest.mark.parametrize("file", ["", "/etc/passwd", "../other/1.png", "a/../../b.png", "a\0b"])
def test_a_record_names_only_files_in_its_folder(file: str) -> None:
    with pytest.raises(ValidationError, match="inside the run's folder"):
        Sample(file=file, prompt="p", epoch=1)


def test_a_time_without_its_zone_is_refused_and_every_other_kept_in_utc() -> None:
    values = record_of().model_dump()
    later = Record.model_validate({**values, "started": "2026-11-26T15:02:00+01:00"})
    assert later.started == record_of().started
    assert '"started":"2026-11-26T14:02:00Z"' in later.model_dump_json()
    with pytest.raises(ValidationError, match="timezone"):
        Record.model_validate({**values, "started": "2026-11-26T15:02:00"})
