"""Commands and files on a rented machine: pinned keys, whole transfers, secrets kept."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest
from rented import Cloud, Run, request

from components.errors import AccessDenied, CommandFailed, HostKeyChanged, TransferFailed, Unreachable
from components.remote.manifest import scan
from components.remote.shell import Login, connect
from components.remote.transfer import fetch, send
from components.vast import keys
from components.vast.release import release


@pytest.fixture(scope="module")
def login(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    """One verified machine for all tests here."""
    run = Run(cloud, request())
    keys.register(cloud.api(), run.request.public_key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAGUA_HOME", str(tmp_path_factory.mktemp("memory")))
        [machine] = run.acquire()
    yield machine.login
    release(cloud.api(), [], run.request.owner)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = ("plain.png", "with space.png", "quo'te\".txt", "-dash.txt", "ünïcode.txt", "deep/er/file.bin")
    for number, name in enumerate(names):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * (1000 * number + 1))
    return tmp_path / "source"


def silent(_done: int, _total: int, _rate: float) -> None:
    """Tell nothing."""


def test_the_pinned_key_opens_and_any_other_is_refused(login: Login) -> None:
    with connect(login) as shell:
        assert shell.host_key == login.host_key
    other = keys.generate("x")[1].rsplit(" ", 1)[0]
    with pytest.raises(HostKeyChanged, match="Nothing was sent"), connect(replace(login, host_key=other)):
        pass


def test_a_man_in_the_middle_hears_nothing(login: Login) -> None:
    heard: list[str] = []

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            heard.append(username)
            return False

    ready, loop = threading.Event(), asyncio.new_event_loop()
    ports: list[int] = []

    async def serve() -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        server = await asyncssh.create_server(Server, "127.0.0.1", 0, server_host_keys=[key])
        ports.append(server.get_port())
        ready.set()

    threading.Thread(
        target=lambda: (loop.run_until_complete(serve()), loop.run_forever()), daemon=True
    ).start()
    assert ready.wait(10)
    with pytest.raises(HostKeyChanged), connect(replace(login, host="127.0.0.1", port=ports[0])):
        pass
    loop.call_soon_threadsafe(loop.stop)

    assert heard == []


def test_another_stack_s_key_is_denied(login: Login) -> None:
    with pytest.raises(AccessDenied), connect(replace(login, private_key=keys.generate("x")[0])):
        pass


def test_a_closed_port_is_unreachable(login: Login) -> None:
    with pytest.raises(Unreachable), connect(replace(login, port=9)):
        pass


def test_a_script_s_words_are_in_no_process_list_and_in_no_error(login: Login) -> None:
    with connect(login) as shell:
        shown = shell.run("listing", "secret=canary-secret\ncat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        assert "canary-secret" not in shown
        with pytest.raises(CommandFailed, match=r"^counting failed with exit code 3: seen$"):
            shell.run("counting", "secret=canary-secret\necho seen >&2\nexit 3")


def test_a_silent_command_is_given_up(login: Login) -> None:
    with connect(login) as shell, pytest.raises(Unreachable, match=r"nothing was heard for 0\.5 s"):
        shell.run("waiting", "sleep 20", timeout=0.5)


def test_a_folder_arrives_whole_and_then_only_its_changes(login: Login, folder: Path) -> None:
    with connect(login) as shell:
        first = send(shell, folder, scan(folder), "delta", silent)
        assert first == scan(folder).size
        assert send(shell, folder, scan(folder), "delta", silent) == 0
        (folder / "plain.png").write_bytes(b"new")
        (folder / "-dash.txt").unlink()
        assert send(shell, folder, scan(folder), "delta", silent) == 3
        listing = shell.run("listing", "cd /workspace/delta; find . -type f -printf '%P\\n' | LC_ALL=C sort")

    assert listing.splitlines() == sorted((file.path for file in scan(folder).files), key=str.encode)


def test_a_file_that_changed_after_the_plan_is_not_put_in_place(login: Login, folder: Path) -> None:
    manifest = scan(folder)
    (folder / "plain.png").write_bytes(b"Z")
    with connect(login) as shell:
        with pytest.raises(TransferFailed, match=r"changed meanwhile, such as plain\.png"):
            send(shell, folder, manifest, "changed", silent)
        assert shell.run("listing", "ls /workspace/changed 2>/dev/null || true") == ""


def test_a_file_comes_home_whole(login: Login, tmp_path: Path) -> None:
    target = tmp_path / "home" / "model.safetensors"
    with connect(login) as shell:
        shell.run("making", "head -c 3000000 /dev/urandom > /workspace/model")
        digest = fetch(shell, "model", target, silent)
        stamp = target.stat().st_mtime_ns
        assert fetch(shell, "model", target, silent) == digest
        assert target.stat().st_mtime_ns == stamp
        target.write_bytes(b"half")
        assert fetch(shell, "model", target, silent) == digest

    assert target.stat().st_size == 3000000
    assert [path.name for path in target.parent.iterdir()] == ["model.safetensors"]


def test_a_file_that_is_not_there_is_said(login: Login, tmp_path: Path) -> None:
    with (
        connect(login) as shell,
        pytest.raises(TransferFailed, match="nothing cannot be read on the machine"),
    ):
        fetch(shell, "nothing", tmp_path / "x", silent)
    assert not (tmp_path / "x").exists()
