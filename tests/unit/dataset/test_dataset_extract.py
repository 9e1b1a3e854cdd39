"""Unpacking archives that nobody vouches for: all of it lands inside, or nothing stays."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset import extract

PROGRAM = Path(extract.__file__).read_bytes()

GOOD = {
    "images/a.png": b"png",
    "images/a.txt": b"a cat",
    "images/.hidden": b"x",
    "__MACOSX/images/._a.png": b"x",
}
KEPT = {"images/a.png": b"png", "images/a.txt": b"a cat"}


def unpack(archive: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the program as on a node: from standard input, with nothing of ours to import."""
    command = [sys.executable, "-I", "-", str(archive), str(folder)]
    done = subprocess.run(command, input=PROGRAM, capture_output=True, timeout=60, check=False)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def zipped(path: Path, members: dict[str, bytes], mode: int = 0o100644, flags: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.external_attr = mode << 16
            archive.writestr(info, content)
    if flags:
        data = bytearray(path.read_bytes())
        data[data.index(b"PK\x01\x02") + 8] |= flags
        path.write_bytes(data)
    return path


def tarred(path: Path, *members: tuple[str, bytes, dict], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content, changes in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content) if content else None)
    return path


def plain(members: dict[str, bytes]) -> list[tuple[str, bytes, dict]]:
    return [(name, content, {}) for name, content in members.items()]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_files_are_unpacked_and_hidden_ones_left_out(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        zipped(archive, GOOD)
    else:
        tarred(archive, *plain(GOOD), mode=f"w:{kind[4:]}")

    done = unpack(archive, tmp_path / "new/folder")

    assert (done.returncode, done.stdout) == (0, "unpacked 2 files\n")
    assert files(tmp_path / "new/folder") == KEPT


def test_the_archives_of_tar_and_zip_themselves_are_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "images").mkdir(parents=True)
    (source / "images/a b\u202f.png").write_bytes(bytes(5000))
    subprocess.run(["tar", "-czf", tmp_path / "a.tgz", "-C", source, "."], check=True)

    assert unpack(tmp_path / "a.tgz", tmp_path / "out").returncode == 0
    assert files(tmp_path / "out") == files(source)


def test_modes_of_the_archive_are_not_taken_over(tmp_path: Path) -> None:
    tarred(tmp_path / "a.tar", ("a.png", b"x", {"mode": 0o6777}))

    unpack(tmp_path / "a.tar", tmp_path / "out")

    assert (tmp_path / "out/a.png").stat().st_mode & 0o7111 == 0


LEADS_OUT = "in the archive leads out of its folder, or is no plain name"
Maker = Callable[[Path], Path]
HOSTILE: dict[str, tuple[Maker, str]] = {
    "zip: up and out": (lambda path: zipped(path, {"../x.png": b""}), f"'../x.png' {LEADS_OUT}"),
    "zip: up in the middle": (
        lambda path: zipped(path, {"a/../../x.png": b""}),
        f"'a/../../x.png' {LEADS_OUT}",
    ),
    "zip: from the root": (lambda path: zipped(path, {"/etc/x.png": b""}), f"'/etc/x.png' {LEADS_OUT}"),
    "zip: backslashes": (lambda path: zipped(path, {"..\\x.png": b""}), f"'..\\\\x.png' {LEADS_OUT}"),
    "zip: a drive": (lambda path: zipped(path, {"C:/x.png": b""}), f"'C:/x.png' {LEADS_OUT}"),
    "zip: a line break": (lambda path: zipped(path, {"x\n.png": b""}), f"'x\\n.png' {LEADS_OUT}"),
    "zip: hidden and out": (lambda path: zipped(path, {"../.x": b""}), f"'../.x' {LEADS_OUT}"),
    "zip: a link": (
        lambda path: zipped(path, {"x.png": b"/etc/passwd"}, mode=0o120777),
        "'x.png' in the archive is a link; pack plain files only",
    ),
    "zip: a device": (
        lambda path: zipped(path, {"x.png": b""}, mode=0o020666),
        "'x.png' in the archive is a special file; pack plain files only",
    ),
    "zip: encrypted": (
        lambda path: zipped(path, {"x.png": b"?"}, flags=1),
        "'x.png' in the archive is encrypted; pack plain files only",
    ),
    "tar: up and out": (lambda path: tarred(path, ("../x.png", b"", {})), f"'../x.png' {LEADS_OUT}"),
    "tar: from the root": (lambda path: tarred(path, ("/x.png", b"", {})), f"'/x.png' {LEADS_OUT}"),
    "tar: bytes that are no UTF-8": (lambda path: tarred(path, ("\udce9.png", b"", {})), LEADS_OUT),
    "tar: a symbolic link": (
        lambda path: tarred(
            path, ("x", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc"}), ("x/y", b"", {})
        ),
        "'x' in the archive is a link; pack plain files only",
    ),
    "tar: a hard link": (
        lambda path: tarred(path, ("x.png", b"", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})),
        "'x.png' in the archive is a link; pack plain files only",
    ),
    "tar: a device": (
        lambda path: tarred(path, ("x.png", b"", {"type": tarfile.BLKTYPE, "devmajor": 8})),
        "'x.png' in the archive is a special file; pack plain files only",
    ),
    "tar: a pipe": (
        lambda path: tarred(path, ("x.png", b"", {"type": tarfile.FIFOTYPE})),
        "'x.png' in the archive is a special file; pack plain files only",
    ),
    "tar: a file twice": (
        lambda path: tarred(path, ("x.png", b"1", {}), ("./x.png", b"2", {})),
        "'./x.png' is in the archive twice, or once as a folder",
    ),
    "tar: a file and a folder": (
        lambda path: tarred(path, ("x", b"1", {}), ("x/y.png", b"2", {})),
        "'x/y.png' is in the archive twice, or once as a folder",
    ),
    "tar: a folder over a file": (
        lambda path: tarred(path, ("x", b"1", {}), ("x", b"", {"type": tarfile.DIRTYPE})),
        "'x' is in the archive twice, or once as a folder",
    ),
    "tar: more than the disk": (
        lambda path: tarred(path, ("x.png", b"", {"size": 1 << 50})),
        "the disk is too small: 'x.png' and what comes before it do not fit",
    ),
    "an empty file": (lambda path: (path.write_bytes(b"") and path) or path, "neither zip nor tar: b''"),
    "a web page": (
        lambda path: path.write_text("<!DOCTYPE html>\n<p>log in") and path,
        "what was downloaded is a web page: is the URL that of the file itself?",
    ),
    "another archive": (
        lambda path: path.write_bytes(b"7z\xbc\xaf\x27\x1c") and path,
        'what was downloaded is neither zip nor tar: b"7z\\xbc\\xaf\'\\x1c"',
    ),
}


@pytest.mark.parametrize(("make", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(tmp_path: Path, make: Maker, says: str) -> None:
    archive = make(tmp_path / "archive")

    done = unpack(archive, tmp_path / "deep/folder")

    assert done.returncode == 1
    assert done.stderr.endswith(f"{says}\n")
    assert done.stderr.count("\n") == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]
    assert not (tmp_path / "deep/folder").exists()


NAMES = st.text(st.sampled_from("ab./\\ :~\n\0é"), min_size=1, max_size=8)


@given(NAMES, st.sampled_from(["zip", "tar"]))
def test_no_name_leads_out(tmp_path_factory: pytest.TempPathFactory, name: str, kind: str) -> None:
    around = tmp_path_factory.mktemp("names")
    archive = around / "archive"
    if kind == "zip":
        zipped(archive, {"first.png": b"1", name: b"2"})
    else:
        tarred(archive, ("first.png", b"1", {}), (name, b"2", {}))
    folder = around / "one/two"

    try:
        count = extract.extract(archive, folder)
    except extract.Refused:
        assert not folder.exists()
    else:
        assert len(files(folder)) == count
    outside = {path for path in around.rglob("*") if path.is_file() and not path.is_relative_to(folder)}
    assert outside == {archive}


@settings(max_examples=150)
@given(st.sampled_from(["zip", "tar", "tar.gz", "tar.xz"]), st.data())
def test_an_archive_that_is_cut_off_is_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    """Also between two members of a tar, which tarfile itself takes for the end."""
    around = tmp_path_factory.mktemp("cut")
    archive, members = around / "archive", {f"{n}.png": random.Random(n).randbytes(700) for n in range(4)}
    if kind == "zip":
        zipped(archive, members)
    else:
        tarred(archive, *plain(members), mode=f"w:{kind[4:]}")
    whole = archive.read_bytes()
    # what follows the last member of a tar is padding
    end = 4 * (512 + 1024) if kind == "tar" else len(whole) - 1
    archive.write_bytes(whole[: data.draw(st.integers(0, end))])

    with pytest.raises(extract.Refused):
        extract.extract(archive, around / "folder")
    assert not (around / "folder").exists()


@given(
    st.sampled_from(["zip", "tar", "tar.gz", "tar.bz2"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_a_damaged_archive_is_unpacked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, changes: list[tuple[float, int]]
) -> None:
    around = tmp_path_factory.mktemp("damage")
    archive = around / "archive"
    if kind == "zip":
        zipped(archive, {"é.png": b"1", "a/b.png": b"2"})
    else:
        tarred(archive, *plain({"é.png": b"1", "a/b.png": b"2"}), mode=f"w:{kind[4:]}")
    data = bytearray(archive.read_bytes())
    for place, value in changes:
        data[int(place * len(data))] = value
    archive.write_bytes(data)

    try:
        count = extract.extract(archive, around / "folder")
    except extract.Refused:
        count = 0
    assert len(files(around / "folder")) == count


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_content_that_does_not_match_its_checksum_is_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    around = tmp_path_factory.mktemp("checksum")
    content = random.Random(1).randbytes(10_001)
    archive = zipped(around / "a.zip", {"a.png": content})
    data = bytearray(archive.read_bytes())
    start = data.index(content[:16])
    changed = data[start + place] != value
    data[start + place] = value
    archive.write_bytes(data)

    if changed:
        with pytest.raises(extract.Refused, match="Bad CRC-32"):
            extract.extract(archive, around / "folder")
    else:
        assert extract.extract(archive, around / "folder") == 1
