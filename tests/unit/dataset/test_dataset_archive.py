"""Archives that a node fetches for itself: the job runs under a real bash and curl, against loopback."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from https_server import HttpsServer, serving
from node_workspace import Node

from components.dataset.fetch import fetch
from components.remote.token import token_script
from components.spec.source import Source


@pytest.fixture
def server(node: Node, tmp_path: Path) -> Iterator[HttpsServer]:
    with serving(tmp_path / "server.pem") as found:
        node.environment["CURL_CA_BUNDLE"] = str(tmp_path / "server.pem")
        yield found


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return buffer.getvalue()


FILES = {"images/a.png": bytes(range(256)) * 500, "images/a.txt": b"a cat"}


def test_a_folder_here_needs_no_job() -> None:
    assert fetch(Source(path="cat"), "dataset") is None


def test_an_archive_is_fetched_checked_and_unpacked(node: Node, server: HttpsServer) -> None:
    server.content = archive(FILES)
    digest = hashlib.sha256(server.content).hexdigest()

    done = node.fetch(archive={"url": f"{server.url}/cat.zip?a=1&b=[c]", "sha256": digest})

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["unpacked 2 files", "images: 1"]
    assert node.dataset == FILES
    assert server.paths == ["/cat.zip?a=1&b=[c]"]
    assert [
        path for path in node.workspace.rglob("*") if path.is_file() and "dataset" not in path.parts
    ] == []


def test_a_new_archive_replaces_the_old_dataset(node: Node, server: HttpsServer) -> None:
    server.content = archive({"old.png": b"old"})
    node.fetch(archive={"url": f"{server.url}/old.zip"})
    server.content = archive({"new.png": b"new"})

    node.fetch(archive={"url": f"{server.url}/new.zip"})

    assert node.dataset == {"new.png": b"new"}


def test_a_dataset_that_a_newer_version_asks_for_again_stays_with_what_was_encoded_of_it(
    node: Node, server: HttpsServer
) -> None:
    server.content = archive(FILES)
    source = {"url": f"{server.url}/cat.zip", "sha256": hashlib.sha256(server.content).hexdigest()}
    node.fetch(archive=source)
    (node.workspace / "dataset/images/a_sdxl.npz").touch()

    done = node.fetch(archive={**source, "token": "mine"})

    assert (done.returncode, done.stdout) == (0, "there already; images: 1\n")
    assert node.dataset == {**FILES, "images/a_sdxl.npz": b""}
    assert len(server.paths) == 1


def test_a_download_that_broke_off_goes_on_where_it_was(node: Node, server: HttpsServer) -> None:
    server.content = archive(FILES)
    server.break_after = 50_000

    done = node.fetch(archive={"url": f"{server.url}/cat.zip"})

    assert (done.returncode, node.dataset) == (0, FILES)
    assert server.ranges == [None, "bytes=50000-"]


def test_a_download_that_was_whole_already_is_fetched_anew(node: Node, server: HttpsServer) -> None:
    """A machine can stop between the last byte and unpacking: the server then has nothing to go on with."""
    server.content = archive(FILES)
    url = f"{server.url}/cat.zip"
    part = node.workspace / ".fragua/downloads" / hashlib.sha256(url.encode()).hexdigest()[:16]
    part.parent.mkdir(parents=True)
    part.write_bytes(server.content)

    done = node.fetch(archive={"url": url})

    assert (done.returncode, node.dataset) == (0, FILES)


def test_an_archive_of_another_hash_is_refused_and_fetched_again_next_time(
    node: Node, server: HttpsServer
) -> None:
    server.content = archive(FILES)
    source = {"url": f"{server.url}/cat.zip", "sha256": "0" * 64}

    done = node.fetch(archive=source)

    found = hashlib.sha256(server.content).hexdigest()
    assert done.returncode == 1
    assert done.stdout == (
        f"the archive has sha256 {found}, not {'0' * 64}: correct dataset.archive.sha256 or the URL\n"
    )
    node.fetch(archive=source)
    assert server.ranges == [None, None]
    assert not (node.workspace / "dataset").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            b"<html>please log in</html>",
            "what was downloaded is a web page: is the URL that of the file itself?",
        ),
        (
            archive({"../x.png": b""}),
            "'../x.png' in the archive leads out of its folder, or is no plain name",
        ),
    ],
)
def test_an_archive_that_cannot_be_unpacked_is_not_kept(
    node: Node, server: HttpsServer, content: bytes, says: str
) -> None:
    server.content = content

    done = node.fetch(archive={"url": f"{server.url}/cat.zip"})

    assert (done.returncode, done.stderr) == (1, f"{says}\n")
    assert [path for path in node.workspace.rglob("*") if path.is_file()] == []


def test_a_token_opens_an_archive_and_is_named_where_it_does_not(node: Node, server: HttpsServer) -> None:
    server.content, server.token = archive(FILES), "sesame"
    url = f"{server.url}/cat.zip"

    done = node.fetch(archive={"url": url})
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        1,
        "127.0.0.1 answers 401 or 403: it wants a token; name one by `token: NAME` beside the address",
    )

    mine = {"url": url, "token": "store"}
    assert node.fetch(archive=mine).stdout == "the token store is not on the machine\n"

    node.bash(token_script("store", "wrong"))
    assert node.fetch(archive=mine).stdout.startswith("127.0.0.1 refuses the token store: ")

    node.bash(token_script("store", "sesame"))
    done = node.fetch(archive=mine)
    assert (done.returncode, node.dataset) == (0, FILES)
    assert len(server.paths) == 3


def test_the_hub_s_token_opens_archives_there() -> None:
    for host, sent in (("huggingface.co", "huggingface"), ("example.org", "")):
        job = fetch(
            Source.model_validate({"archive": {"url": f"https://{host}/a.zip"}}), "dataset", token=True
        )
        assert job
        assert job.token == sent


def test_an_archive_without_images_is_refused(node: Node, server: HttpsServer) -> None:
    server.content = archive({"readme.md": b"nothing yet", "data/a.heic": b"?"})

    done = node.fetch(archive={"url": f"{server.url}/cat.zip"})

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == (
        "what was fetched holds no images (png, jpg, jpeg, webp, bmp); there is: data readme.md"
    )
    assert not (node.workspace / "dataset").exists()


def test_a_url_that_does_not_exist_fails_at_once(node: Node, server: HttpsServer) -> None:
    done = node.fetch(archive={"url": f"{server.url}/cat.zip"})

    assert done.returncode == 22
    assert done.stderr.endswith("The requested URL returned error: 404\n")
    assert len(server.paths) == 1
