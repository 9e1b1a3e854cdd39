"""The jobs that bring a base model, under a real bash and curl, against https servers on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import HUB, LOCKED, OTHER, STORE, STRANGER, Hub, serving

from components.errors import SpecError
from components.remote.model import Model, model, uploaded
from components.remote.token import token_script
from components.spec.model import BaseModelSource
from components.spec.models import Upscaler

TOKEN = "hf_aVerySecretToken"
URL = f"https://{OTHER}/files/model.safetensors"


def base_model(source: BaseModelSource, *, token: bool = False) -> Model:
    return model(source, "base-model", "base_model", token=token)


def safetensors(size: int = 200_000) -> bytes:
    table = {"__metadata__": {"title": "x"}, "w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    header = json.dumps(table).encode()
    return len(header).to_bytes(8, "little") + header + bytes(range(250)) * (size // 250)


MODEL = safetensors()
SHA256 = hashlib.sha256(MODEL).hexdigest()


class Node:
    """A folder that stands for a machine's workspace; a record of every command line of curl."""

    def __init__(self, root: Path, curlrc: str) -> None:
        self.workspace = root / "workspace"
        self.workspace.mkdir()
        self.calls = root / "calls"
        programs = root / "bin"
        programs.mkdir()
        recorder = programs / "curl"
        recorder.write_text(
            f'#!/bin/bash\nPATH=${{PATH#*:}}\n{{ echo "$@"; export -p; }} >> {self.calls}\nexec curl "$@"\n'
        )
        recorder.chmod(0o755)
        sleep = programs / "sleep"
        sleep.write_text("#!/bin/bash\n")
        sleep.chmod(0o755)
        (root / ".curlrc").write_text(curlrc)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CURL_HOME": str(root),
            "WORKSPACE": str(self.workspace),
        }

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-s"],
            input=f"set -euo pipefail\n{script}",
            cwd=self.workspace,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def bring(self, *, token_there: bool = False, **source: str) -> subprocess.CompletedProcess[str]:
        found = base_model(BaseModelSource(**source), token=token_there)
        self.file, job = self.workspace / found.path, found.job
        assert job
        return self.bash(job.script)

    @property
    def part(self) -> Path:
        return self.file.with_name(f"{self.file.name}.part")

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.workspace.glob("models/*")}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serving(tmp_path / "server.pem") as found:
        found.content = MODEL
        yield found


@pytest.fixture
def node(tmp_path: Path, hub: Hub) -> Node:
    return Node(tmp_path, f"{hub.curlrc}cacert = {tmp_path / 'server.pem'}\n")


def assert_refused(done: subprocess.CompletedProcess[str], last: str) -> None:
    assert done.returncode == 1, done
    assert done.stdout.splitlines()[-1] == f"base model: {last}"


def test_a_model_is_downloaded_checked_and_named(node: Node, hub: Hub) -> None:
    done = node.bring(huggingface="me/model", file="sub/it.safetensors", sha256=SHA256)

    assert (done.returncode, done.stderr) == (0, "")
    name = node.file.relative_to(node.workspace)
    assert done.stdout.splitlines() == [f"201KB to come from {HUB}", f"base model: {name}"]
    assert node.file.read_bytes() == MODEL
    assert node.files == {node.file.name}
    assert {(one.host, one.path) for one in hub.asked} == {
        (HUB, "/me/model/resolve/main/sub/it.safetensors"),
        (STORE, "/me/model/resolve/main/sub/it.safetensors?signed=1"),
    }


def test_a_second_run_asks_for_nothing(node: Node, hub: Hub) -> None:
    node.bring(url=URL)
    hub.asked.clear()

    done = node.bring(url=URL)

    assert (done.returncode, hub.asked) == (0, [])


@pytest.mark.parametrize("sha256", [None, SHA256])
def test_what_broke_off_goes_on_where_it_was(node: Node, hub: Hub, sha256: str | None) -> None:
    hub.break_after = 50_000
    given = {"sha256": sha256} if sha256 else {}

    done = node.bring(url=URL, **given)

    assert (done.returncode, node.file.read_bytes()) == (0, MODEL)
    assert hub.downloads(OTHER) == [None, "bytes=50000-"]


def test_a_later_run_takes_up_what_an_earlier_one_left(node: Node, hub: Hub) -> None:
    node.bring(url=URL)
    node.file.unlink()
    node.part.write_bytes(MODEL[:70_000])
    hub.asked.clear()

    done = node.bring(url=URL)

    assert (done.returncode, node.file.read_bytes()) == (0, MODEL)
    assert hub.downloads(OTHER) == ["bytes=70000-"]


@pytest.mark.parametrize("left", [MODEL, MODEL + b"more"])
def test_a_download_that_was_whole_is_not_fetched_again(node: Node, hub: Hub, left: bytes) -> None:
    node.bring(url=URL)
    node.file.unlink()
    node.part.write_bytes(left)
    hub.asked.clear()

    assert node.bring(url=URL).returncode == 0
    assert node.file.read_bytes() == MODEL
    assert hub.downloads(OTHER) == ([] if left == MODEL else [None])


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("left", [b"", MODEL[:1000], MODEL])
def test_a_server_that_cannot_go_on_in_the_middle_gives_all(
    node: Node, hub: Hub, left: bytes, *, sized: bool
) -> None:
    hub.ranges, hub.sized = False, sized
    node.bring(url=URL)
    node.file.unlink()
    node.part.write_bytes(left)

    done = node.bring(url=URL)

    assert (done.returncode, node.file.read_bytes()) == (0, MODEL), done


def test_a_wrong_part_is_replaced_once(node: Node, hub: Hub) -> None:
    node.bring(url=URL, sha256=SHA256)
    node.file.unlink()
    node.part.write_bytes(MODEL[:-1] + b"?")
    hub.asked.clear()

    done = node.bring(url=URL, sha256=SHA256)

    assert (done.returncode, node.file.read_bytes()) == (0, MODEL)
    assert "its sha256 is " in done.stdout
    assert "downloading it once more" in done.stdout
    assert hub.downloads(OTHER) == [None]


HTML = b"<!DOCTYPE html><html><title>Log in</title></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 6938078334\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (HTML, "it is a web page, not a model: take the file's own address, with its token"),
        (POINTER, "it is a Git LFS pointer, not the model: take the address that downloads the file"),
        (b"PK\x03\x04" * 500, "it is no safetensors file"),
        (MODEL[:50], "it is cut off within its header, after 50 bytes"),
        (b"\x02\0\0\0\0\0\0\0{}", "its header is none of a safetensors file"),
        (
            MODEL[:-9],
            f"it has {len(MODEL) - 9} bytes where its header tells of {len(MODEL)}: it is cut off or damaged",
        ),
    ],
)
def test_what_is_no_model_is_called_by_its_name(node: Node, hub: Hub, content: bytes, reason: str) -> None:
    hub.content = content

    done = node.bring(url=URL)

    assert_refused(done, reason)
    assert (node.files, len(hub.downloads(OTHER))) == (set(), 2)


def test_a_wrong_hash_is_told_after_a_second_try(node: Node, hub: Hub) -> None:
    done = node.bring(url=URL, sha256="0" * 64)

    assert_refused(done, f"its sha256 is {SHA256}, not {'0' * 64}: correct base_model.sha256 or the source")
    assert (node.files, hub.downloads(OTHER)) == (set(), [None, None])


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("huggingface", {"huggingface": "me/model", "file": "it.safetensors"}),
        ("mine", {"huggingface": "me/model", "file": "it.safetensors", "token": "mine"}),
        ("civitai", {"url": f"https://{LOCKED}/api/download/models/1", "token": "civitai"}),
    ],
)
def test_a_token_opens_its_host_and_goes_nowhere_else(
    node: Node, hub: Hub, name: str, source: dict[str, str]
) -> None:
    hub.token = TOKEN
    assert node.bash(token_script(name, f"{TOKEN}\n")).returncode == 0
    secret = node.workspace / f".fragua/secrets/{name}.token"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700

    done = node.bring(**source, token_there=True)

    assert (done.returncode, node.file.read_bytes()) == (0, MODEL), done
    asked = HUB if "huggingface" in source else LOCKED
    assert {(one.host, one.authorization) for one in hub.asked} == {(asked, f"Bearer {TOKEN}"), (STORE, None)}
    seen = done.stdout + done.stderr + node.calls.read_text()
    assert f"-H @.fragua/secrets/{name}.token" in seen
    assert TOKEN not in seen
    left = [
        path for path in node.workspace.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()
    ]
    assert left == [secret]


@pytest.mark.parametrize("url", [URL, f"https://{HUB}.example/m.safetensors", f"https://{HUB}:8443/a"])
def test_the_hub_s_token_is_not_for_other_hosts(url: str) -> None:
    job = base_model(BaseModelSource(url=url), token=True).job

    assert job
    assert job.token == ""
    assert "secrets" not in job.script


def test_a_token_replaces_one_that_everybody_could_read(node: Node) -> None:
    secret = node.workspace / ".fragua/secrets/huggingface.token"
    secret.parent.mkdir(parents=True)
    secret.write_text("old")
    secret.chmod(0o644)

    node.bash(token_script("huggingface", TOKEN))

    assert (secret.read_text(), secret.stat().st_mode & 0o777) == (f"Authorization: Bearer {TOKEN}\n", 0o600)


@pytest.mark.parametrize("token", ["", " \n", "hf_a b", "hf_a\r\nX-Evil: 1", "hf_é"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("huggingface", "copy it again from huggingface.co/settings/tokens, and give it by .* or HF_TOKEN "),
        (
            "civitai",
            "copy it again, and give it by `pulumi config set --secret civitai:token`, or CIVITAI_TOKEN",
        ),
    ],
)
def test_what_can_be_no_token_is_refused_without_showing_it(name: str, token: str, says: str) -> None:
    with pytest.raises(SpecError, match=f"the token {name} is empty or no token: {says}") as caught:
        token_script(name, token)
    assert "hf_" not in str(caught.value)


GATED = f"{HUB} answers 401 or 403: the repository is gated, private or misspelled; set a token"
REFUSED = (
    f"{HUB} refuses the token huggingface: it is wrong or expired, or may not read this; "
    "accept the repository's conditions on its page"
)
WRONG = (
    f"{LOCKED} refuses the token civitai: it is wrong or expired, or may not read this; "
    "give another by `pulumi config set --secret civitai:token`, or CIVITAI_TOKEN in the environment"
)
REPOSITORY = {"huggingface": "me/model", "file": "it.safetensors"}
CLOSED = {"url": f"https://{LOCKED}/a"}


@pytest.mark.parametrize(
    ("left", "there", "source", "last"),
    [
        (None, False, REPOSITORY, GATED),
        ("hf_other", True, REPOSITORY, REFUSED),
        (None, True, REPOSITORY, "the token huggingface is not on the machine"),
        (
            None,
            True,
            CLOSED,
            f"{LOCKED} answers 401 or 403: it wants a token; name one by `token: NAME` beside the address",
        ),
        (
            "another",
            False,
            {**CLOSED, "token": "civitai"},
            WRONG,
        ),
        (None, False, {**CLOSED, "token": "civitai"}, "the token civitai is not on the machine"),
    ],
)
def test_a_closed_host_says_what_opens_it(
    node: Node, hub: Hub, left: str | None, source: dict[str, str], last: str, *, there: bool
) -> None:
    hub.token = TOKEN
    if left:
        node.bash(token_script(source.get("token", "huggingface"), left))

    done = node.bring(**source, token_there=there)

    assert_refused(done, last)
    assert node.files == set()


def test_a_missing_file_and_a_host_that_is_away_are_told_apart(node: Node, hub: Hub) -> None:
    hub.content = None
    assert_refused(node.bring(url=URL), f"{OTHER} has no such file (it answers 404)")

    hub.content = b""
    assert_refused(node.bring(url=URL), f"{OTHER} has only an empty file there")

    assert_refused(
        node.bring(url=f"https://{STRANGER}/a"), f"{STRANGER} cannot be reached (curl ends with 60)"
    )


def test_a_way_out_of_https_is_not_taken(node: Node, hub: Hub) -> None:
    hub.leads_to = f"http://{STORE}"

    done = node.bring(huggingface="me/model", file="it.safetensors")

    assert_refused(done, "the address leads away from https")
    assert {one.host for one in hub.asked} == {HUB}


def test_a_model_on_the_machine_is_checked_where_it_is(node: Node) -> None:
    path = node.workspace / "own.safetensors"
    source = BaseModelSource.model_construct(path=str(path), sha256=SHA256)
    found = base_model(source)
    assert found.path == str(path)
    assert found.job

    assert f"there is no {path} on the machine" in node.bash(found.job.script).stdout
    path.write_bytes(HTML)
    assert "is no model: it is a web page" in node.bash(found.job.script).stdout
    path.write_bytes(safetensors(500))
    assert "is no model: its sha256 is" in node.bash(found.job.script).stdout
    path.write_bytes(MODEL)
    assert node.bash(found.job.script).stdout == f"base model: {path}\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x80\x02}q\x00." * 100, None),
        (b"version https://git-lfs.github.com/spec/v1\noid", "it is a Git LFS pointer, not the model: "),
        (b"\r\n <!DOCTYPE html>", "it is a web page, not a model: "),
    ],
)
def test_an_upscaler_may_be_a_pickle_and_only_that(
    node: Node, hub: Hub, content: bytes, says: str | None
) -> None:
    hub.content = content
    url = f"https://{OTHER}/files/4x.pth"
    found = model(Upscaler(url=url), "model-upscaler", "models.upscaler")
    assert found.job
    done = node.bash(found.job.script)

    assert found.path.endswith(".pth")
    if says:
        assert done.stdout.splitlines()[-1].startswith(f"model upscaler: {says}")
        assert node.files == set()
    else:
        assert done.stdout.splitlines()[-1] == f"model upscaler: {found.path}"
        assert (node.workspace / found.path).read_bytes() == content
        assert_refused(node.bring(url=url), "it is no safetensors file")


def test_a_pickle_has_the_demanded_sha256(node: Node, hub: Hub) -> None:
    hub.content = b"\x80\x02."
    upscaler = Upscaler(url=f"https://{OTHER}/files/4x.pth", sha256=SHA256)
    job = model(upscaler, "model-upscaler", "models.upscaler").job
    assert job

    assert "correct models.upscaler.sha256 or the source" in node.bash(job.script).stdout


def test_names_tell_sources_and_hold_nothing_odd() -> None:
    sources = [
        {"url": "https://a.example/it's%20it.safetensors?type=1"},
        {"url": "https://a.example/it's%20it.safetensors?type=2"},
        {"url": "https://a.example/it's%20it.safetensors?type=2", "sha256": SHA256},
        {"huggingface": "a/b", "file": "c/d.safetensors"},
    ]
    paths = [base_model(BaseModelSource(**source)).path for source in sources]
    paths.append(uploaded("~/models/my model.safetensors", SHA256).path)

    assert len(set(paths)) == 5
    assert [path.rpartition("-")[0] for path in paths] == [
        *["models/it-s-it"] * 3,
        "models/d",
        "models/my-model",
    ]
    assert all(path.endswith(".safetensors") for path in paths)
