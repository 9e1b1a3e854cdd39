"""Copies to another machine: where they land, when they are made again, what is refused."""

import hashlib
from pathlib import Path

import pytest
from conftest import COPY, COPY_FILE, CommandFailedError

from toolchain.command_plugin.values import ARCHIVE, ASSET, SIGNATURE, UNKNOWN


def file_asset(path):
    content = Path(path).read_bytes() if Path(path).is_file() else b""
    return {SIGNATURE: ASSET, "path": str(path), "hash": hashlib.sha256(content).hexdigest()}


def text_asset(text):
    return {SIGNATURE: ASSET, "text": text, "hash": hashlib.sha256(text.encode()).hexdigest()}


def folder_archive(path, content_hash="a"):
    return {SIGNATURE: ARCHIVE, "path": str(path), "hash": content_hash}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("read me")
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "data"
    (path / "inner").mkdir(parents=True)
    (path / "one.txt").write_text("1")
    (path / "inner" / "two.txt").write_text("2")
    (path / "linked.txt").symlink_to("one.txt")
    return path


@pytest.fixture
def copy(plugin, machine):
    def copy(source, remote_path):
        news = {"connection": machine.connection(), "source": source, "remotePath": remote_path}
        return plugin.create(COPY, news)

    return copy


def test_a_file_lands_at_the_path_and_its_parents_are_made(copy, machine, file):
    outputs = copy(file_asset(file), "/new/folders/there.txt")
    assert (machine.root / "new/folders/there.txt").read_text() == "read me"
    assert outputs["source"] == file_asset(file)


def test_a_file_lands_in_a_folder_that_exists(copy, machine, file):
    (machine.root / "box").mkdir()
    copy(file_asset(file), "/box")
    assert (machine.root / "box/notes.txt").read_text() == "read me"


def test_a_file_that_exists_is_overwritten(copy, machine, file):
    (machine.root / "there.txt").write_text("something that is longer")
    copy(file_asset(file), "/there.txt")
    assert (machine.root / "there.txt").read_text() == "read me"


def test_a_file_of_many_blocks_arrives_whole(copy, machine, tmp_path):
    content = bytes(range(256)) * 40_000
    big = tmp_path / "big"
    big.write_bytes(content)
    copy(file_asset(big), "/big")
    assert (machine.root / "big").read_bytes() == content


def test_a_relative_remote_path_is_taken_from_the_login_folder(copy, machine, file):
    copy(file_asset(file), "there.txt")
    assert (machine.root / "there.txt").read_text() == "read me"


def test_a_text_lands_at_the_path(copy, machine):
    copy(text_asset("key: värde\n"), "/etc/app.yaml")
    assert (machine.root / "etc/app.yaml").read_text() == "key: värde\n"


def test_an_empty_text_makes_an_empty_file(copy, machine):
    copy({SIGNATURE: ASSET, "hash": "e"}, "/empty")
    assert (machine.root / "empty").read_bytes() == b""


def test_a_text_needs_a_path_that_is_no_folder(copy, machine):
    (machine.root / "box").mkdir()
    with pytest.raises(CommandFailedError, match=r"remote path /box is a directory"):
        copy(text_asset("x"), "/box")


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_lands_under_its_own_name(copy, machine, folder, exists):
    if exists:
        (machine.root / "box").mkdir()
    copy(folder_archive(folder), "/box")
    assert tree(machine.root / "box") == {
        "data/one.txt": "1",
        "data/linked.txt": "1",
        "data/inner/two.txt": "2",
    }


def test_a_folder_with_a_closing_slash_is_poured_out(copy, machine, folder):
    (machine.root / "box").mkdir()
    (machine.root / "box" / "old.txt").write_text("stays")
    copy(folder_archive(f"{folder}/"), "/box")
    assert tree(machine.root / "box") == {
        "one.txt": "1",
        "linked.txt": "1",
        "inner/two.txt": "2",
        "old.txt": "stays",
    }


def tree(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_does_not_replace_a_file(copy, machine, folder):
    (machine.root / "box").mkdir()
    (machine.root / "box" / "data").write_text("a file")
    with pytest.raises(CommandFailedError, match=r"remote path /box/data exists but is not a directory"):
        copy(folder_archive(folder), "/box")


def test_a_link_to_a_folder_fails(copy, folder):
    (folder / "loop").symlink_to("inner")
    with pytest.raises(CommandFailedError, match=r"open .*/data/loop: is a directory"):
        copy(folder_archive(folder), "/box")


def test_a_source_that_is_missing_is_named(copy):
    with pytest.raises(CommandFailedError, match=r"open /no/such/file: no such file or directory"):
        copy(file_asset("/no/such/file"), "/there")


def test_a_refusal_by_the_machine_names_the_remote_path(copy, machine, file):
    (machine.root / "plain").write_text("a file")
    with pytest.raises(CommandFailedError, match=r"failed to copy to remote path /plain/there.txt: "):
        copy(file_asset(file), "/plain/there.txt")


def test_an_update_copies_new_content_and_to_a_new_path(plugin, machine, file):
    news = {"connection": machine.connection(), "source": file_asset(file), "remotePath": "/a"}
    state = plugin.create(COPY, news)
    file.write_text("changed")
    plugin.update(COPY, state, news | {"source": file_asset(file)})
    assert (machine.root / "a").read_text() == "changed"
    plugin.update(COPY, state, news | {"remotePath": "/b"})
    assert (machine.root / "b").read_text() == "changed"


def test_an_update_to_a_new_host_alone_copies_nothing(plugin, start_machine, file):
    old, new = start_machine(), start_machine()
    news = {"connection": old.connection(), "source": file_asset(file), "remotePath": "/a"}
    outputs = plugin.update(COPY, plugin.create(COPY, news), news | {"connection": new.connection()})
    assert new.dials == 0
    assert outputs["connection"].value["port"] == new.port


def test_deleting_a_copy_leaves_it_and_dials_nothing(plugin, copy, machine, file):
    state = copy(file_asset(file), "/a")
    plugin.delete(COPY, state)
    assert (machine.root / "a").exists()
    assert machine.dials == 1


def test_a_preview_copies_nothing(plugin, machine, file):
    news = {"connection": machine.connection(), "source": file_asset(file), "remotePath": "/a"}
    plugin.create(COPY, news, preview=True)
    assert machine.dials == 0


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (UNKNOWN, "either asset or archive must be set"),
        ("plain text", "either asset or archive must be set"),
        ({SIGNATURE: ASSET, "uri": "https://example.com/x", "hash": "u"}, "path-based file asset or a text"),
        ({SIGNATURE: ARCHIVE, "assets": {}, "hash": "u"}, "archive must be a path"),
    ],
)
def test_a_source_that_cannot_be_copied_is_refused_in_the_preview(plugin, machine, source, reason):
    news = {"connection": machine.connection(), "source": source, "remotePath": "/a"}
    _, failures = plugin.check(COPY, news)
    assert failures.keys() == {"source"}
    assert reason in failures["source"]


def test_the_deprecated_copy_goes_to_exactly_its_path(plugin, machine, file):
    news = {"connection": machine.connection(), "localPath": str(file), "remotePath": "/there.txt"}
    plugin.create(COPY_FILE, news)
    assert (machine.root / "there.txt").read_text() == "read me"
    with pytest.raises(CommandFailedError, match=r"failed to copy to remote path /no/folder/x"):
        plugin.create(COPY_FILE, news | {"remotePath": "/no/folder/x"})


def test_the_deprecated_copy_looks_for_its_source_before_it_dials(plugin, machine):
    news = {"connection": machine.connection(), "localPath": "/no/file", "remotePath": "/a"}
    with pytest.raises(CommandFailedError, match=r"open /no/file: no such file"):
        plugin.create(COPY_FILE, news)
    assert machine.dials == 0
