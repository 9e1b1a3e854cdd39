"""Moving files to and from a machine with the usual tools."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
from pathlib import Path

import paramiko
import pytest
from rented_machine import Rented, Yard

from simulator.machine.sandbox import Isolation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "one cat.png").write_bytes(os.urandom(300_000))
    (folder / "images" / "one cat.txt").write_text("a cat\n")
    (folder / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (folder / "run.sh").chmod(0o755)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def scp(machine: Rented, *arguments: str) -> None:
    argv = ["scp", *machine.options(), "-P", str(machine.direct), *arguments]
    subprocess.run(argv, check=True, timeout=60)


@pytest.mark.parametrize("protocol", ["-s", "-O"], ids=["sftp", "legacy"])
def test_scp_brings_a_folder_there_and_back(
    machine: Rented, folder: Path, tmp_path: Path, protocol: str
) -> None:
    scp(machine, protocol, "-rp", str(folder), f"root@127.0.0.1:{machine.workspace}/data")
    assert machine.output(f"{machine.workspace}/data/run.sh") == "ran\n"
    scp(machine, protocol, "-r", f"root@127.0.0.1:{machine.workspace}/data", str(tmp_path / "back"))
    assert contents(tmp_path / "back") == contents(folder)


def test_rsync_mirrors_a_folder_or_is_not_there(machine: Rented, folder: Path) -> None:
    if shutil.which("rsync") is None:
        assert machine.ssh("rsync --version").returncode == 127
        return
    shell = " ".join(["ssh", *machine.options(), "-p", str(machine.direct)])
    argv = ["rsync", "-a", "-e", shell, f"{folder}/", f"root@127.0.0.1:{machine.workspace}/mirror"]
    subprocess.run(argv, check=True, timeout=60)
    seen = machine.output(f"cd {machine.workspace}/mirror && find . -type f | sort && ./run.sh")
    assert seen.splitlines() == ["./images/one cat.png", "./images/one cat.txt", "./run.sh", "ran"]
    again = subprocess.run([*argv, "--itemize-changes"], check=True, capture_output=True, timeout=60)
    assert again.stdout == b""


def test_tar_streams_a_folder(machine: Rented, folder: Path) -> None:
    packed = subprocess.run(["tar", "-C", folder, "-c", "."], check=True, capture_output=True).stdout
    machine.output(f"mkdir {machine.workspace}/t && tar -C {machine.workspace}/t -x", stdin=packed)
    assert machine.output(f"cat '{machine.workspace}/t/images/one cat.txt'") == "a cat\n"


def sftp(machine: Rented) -> tuple[paramiko.SSHClient, paramiko.SFTPClient]:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect("127.0.0.1", machine.direct, "root", key_filename=str(machine.key))
    return client, client.open_sftp()


def test_sftp_does_what_a_file_manager_does(machine: Rented) -> None:
    client, files = sftp(machine)
    with client, files:
        assert files.normalize(".") == machine.home
        files.chdir(machine.workspace)
        files.mkdir("sub")
        with files.open("sub/note", "w") as note:
            note.write("one\n")
        with files.open("sub/note", "a") as note:
            note.write("two\n")
        files.chmod("sub/note", 0o600)
        files.utime("sub/note", (1_000_000, 1_000_000))
        files.rename("sub/note", "sub/renamed")
        attributes = files.stat("sub/renamed")
        assert (attributes.st_size, attributes.st_mtime) == (8, 1_000_000)
        assert stat.S_IMODE(attributes.st_mode) == 0o600
        assert files.listdir("sub") == ["renamed"]
        files.truncate("sub/renamed", 3)
        assert machine.output(f"cat {machine.workspace}/sub/renamed") == "one"
        files.remove("sub/renamed")
        files.rmdir("sub")
        with pytest.raises(FileNotFoundError):
            files.stat("sub")


def test_sftp_follows_links_as_the_machine_does(yard: Yard) -> None:
    machine = yard.rent()
    machine.output(
        "cd /workspace; mkdir -p real/deep; echo inside > real/file; ln -s /workspace/real absolute;"
        "ln -s ../../../../../../../../workspace/real/file climbing; ln -s absolute/deep chain;"
        "ln -s loop loop; echo machine > /etc/whoami; ln -s /etc/whoami whoami"
    )
    client, files = sftp(machine)
    with client, files:
        files.chdir("/workspace")
        assert files.open("absolute/file").read() == b"inside\n"
        assert files.open("climbing").read() == b"inside\n"
        assert files.open("whoami").read() == b"machine\n"
        assert files.open("chain/../file").read() == b"inside\n"
        assert files.normalize("chain") == "/workspace/real/deep"
        assert files.normalize("../../..") == "/"
        assert files.readlink("absolute") == "/workspace/real"
        assert stat.S_ISLNK(files.lstat("absolute").st_mode)
        assert stat.S_ISDIR(files.stat("absolute").st_mode)
        files.symlink("/workspace/real/file", "made")
        assert machine.output("cat /workspace/made") == "inside\n"
        with pytest.raises(OSError, match="symbolic links"):
            files.open("loop")


def test_sftp_sees_the_machine_and_not_the_host(yard: Yard) -> None:
    (yard.root / "secret").write_text("of the host")
    machine = yard.rent()
    client, files = sftp(machine)
    with client, files:
        for path in (yard.root / "secret", f"/workspace/../..{yard.root}/secret"):
            with pytest.raises(OSError):
                files.stat(str(path))
        assert set(files.listdir("/")) == set(machine.output("ls -A /").split())


def test_a_full_disk_fails_uploads_and_programs_alike(yard: Yard) -> None:
    machine = yard.rent(faults=frozenset({"disk_full"}), image="vastai/kohya:latest")
    assert machine.output("ls /workspace/kohya_ss") == "sd-scripts\n"
    assert b"No space left on device" in machine.ssh("head -c 3M /dev/zero > /workspace/x").stderr
    machine.output("rm /workspace/x; echo small > /workspace/small; echo elsewhere > /root/big")
    client, files = sftp(machine)
    with client, files:
        files.putfo(io.BytesIO(b"x" * 1000), "/workspace/fits")
        with pytest.raises(OSError, match="size mismatch"):
            files.putfo(io.BytesIO(b"x" * 3_000_000), "/workspace/big")


def test_scp_says_that_the_disk_is_full(yard: Yard) -> None:
    machine = yard.rent(faults=frozenset({"disk_full"}))
    machine.output("echo a page > /workspace/page")
    (yard.root / "checkpoint").write_bytes(b"x" * 2**20)  # a part of its last piece is too much
    argv = ["scp", *machine.options(), "-P", str(machine.direct), str(yard.root / "checkpoint")]
    done = subprocess.run([*argv, "root@127.0.0.1:/workspace/"], capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"Failure" in done.stderr


def test_a_full_disk_without_namespaces_limits_the_size_of_files(yard: Yard) -> None:
    machine = yard.rent(isolation=Isolation.NONE, faults=frozenset({"disk_full"}))
    assert b"File too large" in machine.ssh("head -c 3M /dev/zero > $WORKSPACE/x").stderr
