"""The plugin as the engine runs it, an engine that listens to it, and machines it can dial."""

import asyncio
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import grpc
import pytest

from toolchain.command_plugin import values
from toolchain.command_plugin.protocol import Empty, engine_pb2_grpc, provider_pb2, provider_pb2_grpc

REPOSITORY = Path(__file__).parents[2]
LOCAL = "command:local:Command"
REMOTE = "command:remote:Command"
COPY = "command:remote:CopyToRemote"
COPY_FILE = "command:remote:CopyFile"
HANG_UP = "make the machine hang up"


class EngineLog(engine_pb2_grpc.EngineServicer):
    """The engine's side of the plugin's messages."""

    def __init__(self):
        self.messages = []

    def Log(self, request, context):  # noqa: N802 - gRPC names it
        self.messages.append(request)
        return Empty()

    def lines(self, name: str) -> list[str]:
        return [each.message for each in self.messages if each.urn.endswith(f"::{name}")]


class CommandFailedError(Exception):
    """What the plugin answered instead of a result."""


class Plugin:
    """Asks a plugin as the engine does; each resource has a name of its own unless one is given."""

    def __init__(self, stub: provider_pb2_grpc.ResourceProviderStub, log: EngineLog):
        self.stub = stub
        self.log = log

    def check(self, token: str, news: dict[str, Any]):
        request = provider_pb2.CheckRequest(urn=urn(token, "checked"), news=values.encode(news))
        answer = self.stub.Check(request)
        return values.decode(answer.inputs), {each.property: each.reason for each in answer.failures}

    def inputs(self, token: str, news: dict[str, Any]) -> dict[str, Any]:
        inputs, failures = self.check(token, news)
        assert not failures
        return inputs

    def diff(self, token: str, olds: dict[str, Any], news: dict[str, Any]):
        request = provider_pb2.DiffRequest(
            urn=urn(token, "compared"), old_inputs=values.encode(olds), news=values.encode(news)
        )
        return self.stub.Diff(request)

    def create(self, token: str, news: dict[str, Any], *, name: str = "", preview=False, timeout=0.0):
        request = provider_pb2.CreateRequest(
            urn=urn(token, name or uuid.uuid4().hex),
            properties=values.encode(self.inputs(token, news)),
            preview=preview,
            timeout=timeout,
        )
        return values.decode(told(lambda: self.stub.Create(request)).properties)

    def update(self, token: str, state: dict[str, Any], news: dict[str, Any], *, name="", preview=False):
        request = provider_pb2.UpdateRequest(
            urn=urn(token, name or uuid.uuid4().hex),
            olds=values.encode(state),
            news=values.encode(self.inputs(token, news)),
            preview=preview,
        )
        return values.decode(told(lambda: self.stub.Update(request)).properties)

    def delete(self, token: str, state: dict[str, Any]) -> None:
        request = provider_pb2.DeleteRequest(urn=urn(token, "deleted"), properties=values.encode(state))
        told(lambda: self.stub.Delete(request))


def urn(token: str, name: str) -> str:
    return f"urn:pulumi:dev::project::{token}::{name}"


def told(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except grpc.RpcError as error:
        raise CommandFailedError(error.details()) from None


@pytest.fixture(scope="session")
def start_plugin(tmp_path_factory) -> Iterator[Callable[[], Plugin]]:
    """Starts plugins in a folder of their own; they end with the tests."""
    log = EngineLog()
    engine = grpc.server(ThreadPoolExecutor(max_workers=4))
    engine_pb2_grpc.add_EngineServicer_to_server(log, engine)
    engine_port = engine.add_insecure_port("127.0.0.1:0")
    engine.start()
    processes: list[subprocess.Popen[str]] = []
    folder = tmp_path_factory.mktemp("program")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("SSH_AUTH_SOCK", None)

    def start(**more: str) -> Plugin:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "toolchain.command_plugin", f"127.0.0.1:{engine_port}"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**environment, **more},
        )
        processes.append(process)
        port = int(process.stdout.readline())
        # Whole error messages with a command's output travel in the answer's headers.
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_metadata_size", 16 << 20)])
        plugin = Plugin(provider_pb2_grpc.ResourceProviderStub(channel), log)
        plugin.process, plugin.folder = process, folder
        return plugin

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()
    engine.stop(None)


@pytest.fixture(scope="session")
def plugin(start_plugin) -> Plugin:
    return start_plugin()


@dataclass
class Machine:
    """An SSH server on loopback that runs real processes under a folder of its own."""

    root: Path
    user_key: asyncssh.SSHKey
    host_key: asyncssh.SSHKey
    port: int = 0
    password: str = "correct horse"
    dials: int = 0
    logins: set[str] = field(default_factory=set)
    forwards: list[int] = field(default_factory=list)

    def connection(self, **more: Any) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": float(self.port),
            "user": "somebody",
            "privateKey": self.user_key.export_private_key().decode(),
            "hostKey": self.host_key.export_public_key().decode(),
            "dialErrorLimit": 0.0,
            **more,
        }

    def ran(self, mark: str) -> int:
        """How often a command that ends in `echo MARK >> ran` was run here."""
        file = self.root / "ran"
        return file.read_text().split().count(mark) if file.exists() else 0


class _Login(asyncssh.SSHServer):
    def __init__(self, machine: Machine):
        self.machine = machine

    def connection_made(self, conn):
        self.machine.dials += 1

    def begin_auth(self, username):
        return True

    def public_key_auth_supported(self):
        return True

    def validate_public_key(self, username, key):
        self.machine.logins.add(f"{username} by key")
        return key.export_public_key() == self.machine.user_key.export_public_key()

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        self.machine.logins.add(f"{username} by password")
        return password == self.machine.password

    def connection_requested(self, dest_host, dest_port, orig_host, orig_port):
        self.machine.forwards.append(dest_port)
        return True


async def _pump(source, sink) -> None:
    while chunk := await source.read(32_768):
        sink.write(chunk)
        await sink.drain()


async def _feed(source, sink) -> None:
    await _pump(source, sink)
    sink.close()


async def _run_for_real(machine: Machine, session: asyncssh.SSHServerProcess) -> None:
    if session.command == HANG_UP:
        session.channel.get_connection().abort()
        return
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        session.command,
        cwd=machine.root,
        env={"PATH": os.environ["PATH"], **session.env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    feeding = asyncio.ensure_future(_feed(session.stdin, process.stdin))
    await asyncio.gather(_pump(process.stdout, session.stdout), _pump(process.stderr, session.stderr))
    status = await process.wait()
    feeding.cancel()
    if status < 0:
        session.exit_with_signal("KILL")
    else:
        session.exit(status)


async def _listen(machine: Machine) -> asyncssh.SSHAcceptor:
    return await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: _Login(machine),
        server_host_keys=[machine.host_key],
        process_factory=lambda session: _run_for_real(machine, session),
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(machine.root)),
        encoding=None,
    )


@pytest.fixture(scope="session")
def ssh_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture
def start_machine(ssh_loop, tmp_path) -> Iterator[Callable[[], Machine]]:
    servers: list[asyncssh.SSHAcceptor] = []

    def start() -> Machine:
        root = tmp_path / f"machine{len(servers)}"
        root.mkdir()
        keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(2)]
        machine = Machine(root, *keys)
        server = asyncio.run_coroutine_threadsafe(_listen(machine), ssh_loop).result(10)
        servers.append(server)
        machine.port = server.get_port()
        return machine

    yield start
    for server in servers:
        ssh_loop.call_soon_threadsafe(server.close)


@pytest.fixture
def machine(start_machine) -> Machine:
    return start_machine()
