"""What is in a folder: the same digest for the same content and names, another for any other."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import TransferFailed
from components.remote.manifest import File, Found, Manifest, compare, part, scan, sha256


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_every_file_is_listed_by_path_with_size_and_hash(tmp_path: Path) -> None:
    fill(tmp_path, {"b.png": b"123", "a/c.txt": b"", "a b.txt": "é".encode()})

    assert scan(tmp_path).files == tuple(
        File(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in (("a/c.txt", b""), ("a b.txt", "é".encode()), ("b.png", b"123"))
    )
    assert scan(tmp_path).size == 5


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, {"a": b"1", ".hidden": b"2", ".git/config": b"3", "b/.DS_Store": b"4"})

    assert [file.path for file in scan(tmp_path).files] == ["a"]


def test_a_folder_with_a_hidden_parent_is_not_hidden(tmp_path: Path) -> None:
    fill(tmp_path / ".fragua" / "dataset", {"a": b"1"})

    assert [file.path for file in scan(tmp_path / ".fragua" / "dataset").files] == ["a"]


def test_times_and_modes_do_not_matter(tmp_path: Path) -> None:
    before = scan(fill(tmp_path, {"a": b"1"})).digest
    os.utime(tmp_path / "a", (1, 1))
    (tmp_path / "a").chmod(0o700)

    assert scan(tmp_path).digest == before


def test_a_link_to_a_file_is_its_content(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", {"a": b"1"})
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").symlink_to(tmp_path / "elsewhere" / "a")

    assert scan(tmp_path / "folder") == scan(tmp_path / "elsewhere")


CONTENTS = st.dictionaries(st.text("ab/ .", min_size=1, max_size=3), st.sampled_from(["aa", "bb"]))


@given(CONTENTS, CONTENTS)
def test_digests_are_equal_only_for_the_same_names_and_hashes(
    one: dict[str, str], other: dict[str, str]
) -> None:
    def digest(content: dict[str, str]) -> str:
        return Manifest(tuple(File(path, 1, content[path]) for path in sorted(content))).digest

    assert (digest(one) == digest(other)) == (one == other)


def test_an_empty_folder_is_an_empty_manifest(tmp_path: Path) -> None:
    assert (scan(tmp_path).files, scan(tmp_path).size) == ((), 0)


@pytest.mark.parametrize("name", [b"a\nb", b"a\rb", b"a\\b", b"caf\xe9"])
def test_a_name_that_cannot_be_sent_is_refused(tmp_path: Path, name: bytes) -> None:
    fill(tmp_path, {os.fsdecode(name): b"1"})

    with pytest.raises(TransferFailed, match="rename it") as caught:
        scan(tmp_path)
    assert str(caught.value).isprintable()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match=r"no: no such folder$"):
        scan(tmp_path / "no")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match=r"gone: No such file or directory$"):
        sha256(tmp_path / "gone")


PATHS = st.sampled_from(["a", "b", "c/d", ".e"])
THERE = st.dictionaries(PATHS, st.sampled_from(["", "x", "xx", "yy", "zzz"]))
WANTED = st.dictionaries(st.sampled_from(["a", "b", "c/d"]), st.sampled_from(["", "x", "xx", "yy", "zzz"]))


def on_machine(files: dict[str, str], hashed: Callable[[str], bool] = lambda _: True) -> dict[str, Found]:
    return {path: Found(len(text), f"#{text}" if hashed(path) else "") for path, text in files.items()}


@given(WANTED, THERE, THERE, st.sets(PATHS))
def test_what_is_compared_becomes_the_manifest_and_nothing_that_is_there_is_sent(
    wanted: dict[str, str], folder: dict[str, str], side: dict[str, str], unknown: set[str]
) -> None:
    """A hash is # and the content; of some files in the folder it is unknown."""
    manifest = Manifest(tuple(File(path, len(text), f"#{text}") for path, text in wanted.items()))

    delta = compare(manifest, on_machine(folder, lambda path: path not in unknown), on_machine(side))

    after = {path: text for path, text in side.items() if path not in delta.stale}
    after |= {path: folder[origin] for path, origin in delta.links.items()}
    after |= {file.path: wanted[file.path] for file in delta.missing}
    parts = {part(file) for file in delta.missing}
    assert {path: text for path, text in folder.items() if path not in delta.surplus} | {
        path: text for path, text in after.items() if path not in parts
    } == wanted
    known = {f"#{text}" for path, text in folder.items() if path not in unknown}
    assert not known & {file.sha256 for file in delta.missing}


def test_of_what_broke_off_only_the_beginning_of_what_is_missing_stays() -> None:
    big, other = File("big", 100, "1" * 64), File("big", 90, "2" * 64)
    side = {part(big): Found(60, ""), part(other): Found(60, ""), "big": Found(99, ""), "gone": Found(1, "")}

    assert compare(Manifest((big,)), {}, side).stale == {part(other), "gone"}


def test_a_half_file_as_long_as_the_whole_does_not_stay() -> None:
    assert compare(Manifest((File("big", 100, "1" * 64),)), {}, {"big": Found(100, "")}).stale == {"big"}
