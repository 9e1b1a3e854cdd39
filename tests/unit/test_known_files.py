"""What is remembered of files: right whatever is done to them, to the memory, or to the clock."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components import known
from components.known import Known, forget

ROOT = Path(__file__).resolve().parents[2]
DAY = 24 * 3600


class Reader:
    """Knows files by their content, and which of them had to be read."""

    def __init__(self, subject: str = "content") -> None:
        self.read: list[str] = []
        self.known = Known(subject, self._read, "={}".format, lambda _, note: note[1:])

    def _read(self, path: Path) -> str:
        self.read.append(path.name)
        return path.read_text()

    def of(self, *paths: Path) -> list[str]:
        self.read.clear()
        return self.known.of(paths)


def shift(patch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.time_ns
    patch.setattr(known.time, "time_ns", lambda: now() + int(seconds * 1e9))


def next_tick(folder: Path) -> None:
    """Wait until a change gets another time than the last one: some milliseconds."""
    probe = folder / "probe"
    probe.touch()
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        probe.touch()


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep the memory in memory, where that can be: a disk takes its time for each transaction."""
    shm = Path("/dev/shm")
    with TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        monkeypatch.setenv("FRAGUA_HOME", f"{folder}/home")
        yield Path(folder, "home")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be ten seconds ahead of what has just been written."""
    shift(monkeypatch, 10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("one")
    return path


@pytest.mark.usefixtures("later")
def test_a_file_is_read_once(file: Path) -> None:
    reader, other = Reader(), Reader()

    assert (reader.of(file), reader.read) == (["one"], ["file"])
    assert (reader.of(file), reader.read) == (["one"], [])
    assert (other.of(file), other.read) == (["one"], [])


@pytest.mark.usefixtures("later")
def test_a_relative_path_is_the_same_file_only_in_the_same_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("two")
    reader.of(file)
    monkeypatch.chdir(tmp_path)

    assert (reader.of(Path("file")), reader.read) == (["one"], [])
    monkeypatch.chdir(tmp_path / "other")
    assert (reader.of(Path("file")), reader.read) == (["two"], ["file"])


def test_a_file_that_just_changed_is_not_remembered(file: Path, home: Path) -> None:
    reader = Reader()

    for _ in range(2):
        assert (reader.of(file), reader.read) == (["one"], ["file"])
    assert not home.exists()


@pytest.mark.usefixtures("later")
def test_nor_is_one_from_the_future(file: Path) -> None:
    reader = Reader()
    os.utime(file, (time.time() + DAY, time.time() + DAY))

    for _ in range(2):
        assert (reader.of(file), reader.read) == (["one"], ["file"])


@pytest.mark.usefixtures("later")
def test_other_rules_know_nothing(file: Path) -> None:
    Reader("rules 1").of(file)
    reader = Reader("rules 2")

    assert (reader.of(file), reader.read) == (["one"], ["file"])


PATHS = st.sampled_from(["one/a", "one/b", "two/a", "two/b"])
CONTENTS = st.sampled_from(["xx", "yy", "zzz"])


def write(folder: Path, name: str, content: str) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(content)


def edit(folder: Path, name: str, content: str) -> None:
    """In place, with the old time of modification."""
    path = folder / name
    if path.exists():
        times = path.stat()
        path.write_text(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def touch(folder: Path, name: str) -> None:
    (folder / name).touch()


def rename(folder: Path, name: str, other: str) -> None:
    if (folder / name).exists():
        (folder / name).replace(folder / other)


def copy(folder: Path, name: str, other: str) -> None:
    """With its times, over what is there."""
    if (folder / name).exists() and name != other:
        shutil.copy2(folder / name, folder / other)


def link(folder: Path, name: str, other: str) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(folder / other)


def swap(folder: Path) -> None:
    """Let two folders change places: the files in them do not change."""
    (folder / "one").rename(folder / "aside")
    (folder / "two").rename(folder / "one")
    (folder / "aside").rename(folder / "two")


DEEDS = st.one_of(
    st.tuples(st.sampled_from([write, edit]), PATHS, CONTENTS),
    st.tuples(st.just(touch), PATHS),
    st.tuples(st.sampled_from([rename, copy]), PATHS, PATHS),
    st.tuples(st.just(link), PATHS, st.just("elsewhere")),
    st.tuples(st.just(swap)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(DEEDS, max_size=6))
def test_whatever_is_done_to_files_what_is_known_is_what_they_say(
    home: Path, deeds: list[tuple[Callable[..., None], ...]]
) -> None:
    folder = Path(mkdtemp(dir=home.parent))
    for name in ("one", "two"):
        (folder / name).mkdir()
        write(folder, f"{name}/a", "xx")
        write(folder, f"{name}/b", "yy")
    (folder / "elsewhere").write_text("xx")
    reader = Reader()
    with pytest.MonkeyPatch.context() as patch:
        shift(patch, 10)
        for deed, *arguments in [(touch, "one/a"), *deeds]:
            next_tick(folder)
            deed(folder, *arguments)
            there = sorted(path for name in ("one", "two") for path in (folder / name).iterdir())

            assert reader.of(*there) == [path.read_text() for path in there]
            assert reader.of(*there) == [path.read_text() for path in there]
            assert reader.read == []


@pytest.mark.usefixtures("later")
def test_a_name_that_is_not_utf8_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9")
    path.write_text("one")
    reader = Reader()
    reader.of(path)

    assert (reader.of(path), reader.read) == (["one"], [])


@pytest.mark.usefixtures("later")
def test_what_was_read_before_an_error_is_remembered(file: Path, tmp_path: Path) -> None:
    reader = Reader()

    with pytest.raises(FileNotFoundError):
        reader.of(file, tmp_path / "gone")
    assert (reader.of(file), reader.read) == (["one"], [])


@pytest.mark.usefixtures("later")
def test_what_has_no_note_is_not_remembered(file: Path) -> None:
    reader = Reader()
    reader.known = Known("none", reader._read, lambda _: "", lambda _, note: note)

    for _ in range(2):
        assert (reader.of(file), reader.read) == (["one"], ["file"])


@pytest.mark.usefixtures("later")
def test_a_note_that_cannot_be_read_is_none(file: Path) -> None:
    Reader().of(file)
    reader = Reader()
    reader.known = Known("content", reader._read, str, lambda _, note: str(int(note[1:])))

    assert (reader.of(file), reader.read) == (["one"], ["file"])


@pytest.mark.usefixtures("later")
def test_forgetting_a_folder_forgets_what_is_in_it_and_nothing_beside_it(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("data/1_cat/in", "data/in", "data-2/beside", "data.txt", "dat")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one")
    reader = Reader()
    reader.of(*paths)

    forget(tmp_path / "data")
    reader.of(*paths)
    assert reader.read == ["in", "in"]
    forget(tmp_path / "data.txt")
    reader.of(*paths)
    assert reader.read == ["data.txt"]


def test_there_is_nothing_to_forget_where_nothing_is_known(file: Path, home: Path) -> None:
    forget(file)

    assert not home.exists()


def test_what_nobody_asks_for_is_forgotten_after_two_months(
    file: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, rarely = Reader(), tmp_path / "rarely"
    rarely.write_text("two")
    shift(monkeypatch, 10)
    reader.of(file, rarely)
    shift(monkeypatch, 59 * DAY)
    assert (reader.of(file), reader.read) == (["one"], [])
    shift(monkeypatch, 2 * DAY)
    assert (reader.of(file), reader.read) == (["one"], [])

    [memory] = home.iterdir()
    [(kept,)] = sqlite3.connect(memory).execute("SELECT path FROM known")
    assert kept == os.fsencode(file)
    assert (reader.of(rarely), reader.read) == (["two"], ["rarely"])


@pytest.fixture
def many(home: Path) -> Path:
    folder = home.parent / "many"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number:03}").write_text(str(number))
    return folder


@pytest.fixture
def memory(many: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a memory that knows of `many` files."""
    shift(monkeypatch, 10)
    Reader().of(*many.iterdir())
    [file] = home.iterdir()
    return file


def check(many: Path) -> list[str]:
    """Ask for all files, and return which had to be read."""
    reader = Reader()
    assert reader.of(*sorted(many.iterdir())) == [str(number) for number in range(200)]
    return reader.read


@pytest.mark.parametrize("size", [0, 1, 100, 3000, 4096, 5000, 8192, 20_000])
def test_a_memory_that_was_cut_off_is_made_anew(memory: Path, many: Path, size: int) -> None:
    os.truncate(memory, size)

    assert check(many) != []
    check(many)
    assert check(many) == []


@pytest.mark.parametrize("place", [0, 4096, 8192, 16384])
def test_a_memory_with_a_page_of_something_else_is_made_anew(memory: Path, many: Path, place: int) -> None:
    with memory.open("r+b") as file:
        file.seek(place)
        file.write(b"\xaa" * 4096)

    assert check(many) != []
    check(many)
    assert check(many) == []


def test_a_memory_that_is_a_folder_is_none(memory: Path, many: Path) -> None:
    memory.unlink()
    memory.mkdir()

    for _ in range(2):
        assert len(check(many)) == 200


def test_a_locked_memory_is_none(memory: Path, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_PATIENCE", 0.01)
    with sqlite3.connect(memory) as other:
        other.execute("BEGIN EXCLUSIVE")

        assert len(check(many)) == 200
        forget(many)
    assert check(many) == []


def test_a_memory_that_another_reads_is_read_and_not_written(
    memory: Path, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "_PATIENCE", 0.01)
    (many / "000").touch()
    shift(monkeypatch, 10)
    with sqlite3.connect(memory) as other:
        other.execute("BEGIN")
        other.execute("SELECT path FROM known").fetchone()

        for _ in range(2):
            assert check(many) == ["000"]


@pytest.mark.usefixtures("later")
def test_where_nothing_can_be_written_nothing_is_remembered(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAGUA_HOME", str(file / "no folder"))
    reader = Reader()

    for _ in range(2):
        assert (reader.of(file), reader.read) == (["one"], ["file"])


_ASKS_OFTEN = """
import sys, time
from hashlib import sha256
from pathlib import Path
from components.known import Known

now = time.time_ns
time.time_ns = lambda: now() + 10_000_000_000
digest = lambda path: sha256(path.read_bytes()).hexdigest()
subject = Known("digest", digest, str, lambda _, note: note)
paths = sorted(Path(sys.argv[1]).iterdir())
for path in paths[:5]:
    path.touch()
    assert subject.of(paths) == [digest(path) for path in paths]
"""


def test_several_processes_at_once_share_a_memory(memory: Path, many: Path) -> None:
    """Each touches files, so that all have to write."""
    command = [sys.executable, "-c", _ASKS_OFTEN, str(many)]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]

    assert [process.wait() for process in processes] == [0, 0, 0]
    assert sqlite3.connect(memory).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
