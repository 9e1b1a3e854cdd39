"""The release archive over real sockets: whole, cut off, wrong, hostile."""

import hashlib
import io
import os
import socket
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolchain.release import ReleaseError, download, unpack

CONTENT = os.urandom(199_999) + b"!"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def test_the_pinned_archive_is_fetched(server, tmp_path):
    server.content = CONTENT
    assert download(f"{server.url}/a.tar.gz", DIGEST, tmp_path).read_bytes() == CONTENT


def test_an_archive_that_is_not_the_pinned_one_is_refused_and_removed(server, tmp_path):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(ReleaseError, match="not the pinned archive") as refused:
        download(f"{server.url}/a.tar.gz", DIGEST, tmp_path)
    assert DIGEST in str(refused.value)
    assert hashlib.sha256(server.content).hexdigest() in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.content, server.breaks = CONTENT, [70_000]
    assert download(f"{server.url}/a.tar.gz", DIGEST, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=70000-"]


def test_what_an_earlier_run_left_is_taken_up(server, tmp_path):
    server.content, server.breaks = CONTENT, [50_000, 0]
    with pytest.raises(ReleaseError, match="breaks off"):
        download(f"{server.url}/a.tar.gz", DIGEST, tmp_path)
    server.asked.clear()
    assert download(f"{server.url}/a.tar.gz", DIGEST, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=50000-"]


def test_a_server_without_ranges_sends_all_of_it_again(server, tmp_path):
    server.content, server.breaks, server.ranges = CONTENT, [50_000], False
    assert download(f"{server.url}/a.tar.gz", DIGEST, tmp_path).read_bytes() == CONTENT


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, len(CONTENT)), max_size=5), st.booleans())
def test_wherever_it_breaks_the_file_becomes_whole(server, tmp_path, breaks, ranges):
    server.content, server.breaks, server.ranges = CONTENT, breaks, ranges
    archive = download(f"{server.url}/a.tar.gz", DIGEST, tmp_path)
    assert archive.read_bytes() == CONTENT
    archive.unlink()


def test_a_file_that_is_already_whole_is_not_sent_again(server, tmp_path):
    server.content = CONTENT
    download(f"{server.url}/a.tar.gz", DIGEST, tmp_path)
    download(f"{server.url}/a.tar.gz", DIGEST, tmp_path)
    assert server.asked == [None, f"bytes={len(CONTENT)}-"]


def test_a_refusal_names_the_address_and_the_status(server, tmp_path):
    server.status = 403
    with pytest.raises(ReleaseError, match=rf"{server.url}/a.tar.gz answers 403 Forbidden"):
        download(f"{server.url}/a.tar.gz", DIGEST, tmp_path)


def test_nobody_listening_is_said_at_once(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ReleaseError, match=r"can't be reached: .*refused"):
            download(f"http://127.0.0.1:{port}/a.tar.gz", DIGEST, tmp_path)


def test_a_silent_server_is_given_up(tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ReleaseError, match=r"can't be reached: .*timed out"),
    ):
        download(f"http://127.0.0.1:{silent.getsockname()[1]}/a.tar.gz", DIGEST, tmp_path)


def test_only_the_named_executables_are_unpacked(packed, tmp_path):
    archive, folder = tmp_path / "a.tar.gz", tmp_path / "bin"
    archive.write_bytes(packed("3.259.0"))
    folder.mkdir()
    unpack(archive, ("pulumi", "pulumi-language-python"), folder)
    assert sorted(file.name for file in folder.iterdir()) == ["pulumi", "pulumi-language-python"]
    assert all(os.access(file, os.X_OK) for file in folder.iterdir())


def test_no_member_is_written_outside_the_folder_or_through_a_link(tmp_path):
    archive, folder = tmp_path / "a.tar.gz", tmp_path / "bin"
    folder.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    with tarfile.open(archive, "w:gz") as members:
        for name in ("../victim", str(victim), "pulumi/../victim", "pulumi/../../victim"):
            member = tarfile.TarInfo(name)
            member.size = 4
            members.addfile(member, io.BytesIO(b"evil"))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo("pulumi/pulumi")
            link.type, link.linkname = kind, str(victim)
            members.addfile(link)
    with pytest.raises(ReleaseError, match="lacks pulumi, victim"):
        unpack(archive, ("pulumi", "victim"), folder)
    assert victim.read_text() == "untouched"
    assert list(folder.iterdir()) == []


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path):
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(CONTENT)
    with pytest.raises(ReleaseError, match="can't be unpacked"):
        unpack(archive, ("pulumi",), tmp_path)
