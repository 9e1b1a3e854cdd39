"""A folder on a machine becomes what the manifest says, in each way there is; only what is new is sent."""

import shutil
from pathlib import Path

import pytest
from transfers import BIG, put, silent, there, write

from components.errors import TransferFailed
from components.remote.manifest import File, Manifest, scan
from components.remote.shell import Login, Shell
from components.remote.transfer import send

COUNT = r"""cat > /usr/local/bin/openssl << 'END'
#!/bin/bash
printf '%s\n' "${@:4}" >> /root/hashed
exec /usr/bin/openssl "$@"
END
chmod +x /usr/local/bin/openssl"""


def test_a_folder_arrives_and_then_only_what_is_new(way: str, shell: Shell, source: Path) -> None:
    assert put(shell, source) == scan(source).size
    assert put(shell, source) == 0

    write(source / "plain.png", b"new")
    assert put(shell, source) == 3

    (source / "-dash.txt").unlink()
    (source / "deep").rename(source / "deeper")
    shutil.copy(source / "big one.bin", source / "copy of it")
    assert put(shell, source) == 0


def test_a_changed_big_file_costs_its_changes_where_rsync_is_on_both_sides(
    way: str, shell: Shell, source: Path
) -> None:
    put(shell, source)
    content = bytearray((source / "big one.bin").read_bytes())
    content[BIG // 2 : BIG // 2 + 100] = b"x" * 100
    write(source / "big one.bin", bytes(content))

    sent = put(shell, source)

    assert sent < BIG // 20 if way == "openssh and rsync" else sent == BIG


def test_what_is_linked_is_never_written_to(login: Login, shell: Shell, source: Path) -> None:
    """An interrupted send linked a small file where a bigger one belongs that grew meanwhile."""
    write(source / "grows", b"a" * BIG)
    put(shell, source)
    shell.run("linking", "cd /workspace; mkdir folder.incoming; ln folder/plain.png folder.incoming/grows")
    write(source / "grows", b"a" * BIG + b"b")
    put(shell, source)


def test_only_what_may_have_changed_is_hashed_and_what_did_is_mended(shell: Shell, source: Path) -> None:
    put(shell, source)
    shell.run("counting", COUNT)
    shell.run(
        "changing", "cd /workspace/folder; printf x > plain.png; echo longer >> -dash.txt; echo > surplus"
    )
    assert send(shell, source, scan(source), "folder", silent) == 1 + (source / "-dash.txt").stat().st_size
    hashed = shell.run("reading", "cat /root/hashed; rm /root/hashed /usr/local/bin/openssl").split()
    assert sorted(hashed) == ["./-dash.txt", "./plain.png", "./plain.png", "./surplus"]
    assert there(shell) == scan(source).hashes


def test_what_was_interrupted_while_it_was_put_in_place_is_finished(shell: Shell, source: Path) -> None:
    put(shell, source)
    shell.run(
        "undoing", "cd /workspace; mkdir folder.incoming; mv folder/deep folder/plain.png folder.incoming"
    )
    shell.run("undoing", "cd /workspace; cp -al folder/-dash.txt folder.incoming; echo half > folder/surplus")
    assert put(shell, source) == 0


def test_an_empty_folder_is_sent(shell: Shell, source: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    put(shell, tmp_path / "nothing")
    put(shell, source)
    put(shell, tmp_path / "nothing")
    assert shell.run("looking", "stat -c %F /workspace/folder").strip() == "directory"


def test_a_file_takes_a_folder_s_place_and_a_folder_a_file_s(shell: Shell, source: Path) -> None:
    put(shell, source)
    shutil.rmtree(source / "deep")
    write(source / "deep", b"now a file")
    (source / "plain.png").unlink()
    write(source / "plain.png" / "inside", b"1")
    put(shell, source)


@pytest.mark.parametrize("way", ["openssh and rsync", "no ssh here"], indirect=True)
@pytest.mark.parametrize("name", ["plain.png", "big one.bin"])
@pytest.mark.parametrize("change", ["gone", "a folder", "shorter", "other"])
def test_a_file_that_is_not_what_was_scanned_changes_nothing(
    way: str, shell: Shell, source: Path, name: str, change: str
) -> None:
    write(source / "plain.png", b"two")
    manifest = scan(source)
    path = source / name
    content = path.read_bytes()
    path.unlink()
    if change == "a folder":
        path.mkdir()
    elif change != "gone":
        write(path, content[:-1] if change == "shorter" else b"x" + content[1:])
    with pytest.raises(TransferFailed, match=name):
        send(shell, source, manifest, "folder", silent)

    assert there(shell) == {}


def test_a_disk_without_room_is_said_before_anything_is_sent(shell: Shell, source: Path) -> None:
    with pytest.raises(
        TransferFailed, match=r"disk is full: folder needs 1000000000 MB more.*raise node.disk"
    ):
        send(shell, source, Manifest((File("plain.png", 10**15, "0" * 64),)), "folder", silent)
