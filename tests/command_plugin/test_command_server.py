"""The plugin as a process: how it starts and ends, and what it says of itself."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from conftest import LOCAL, REMOTE, REPOSITORY, CommandFailedError, urn

from toolchain.command_plugin import values
from toolchain.command_plugin.protocol import Empty, provider_pb2
from toolchain.command_plugin.values import Secret

RUN = "command:local:run"


def test_it_prints_nothing_but_its_port(start_plugin):
    plugin = start_plugin()
    plugin.process.terminate()
    assert plugin.process.stdout.read() == ""


def test_it_starts_without_the_sdk_and_without_an_ssh_library():
    script = (
        "from toolchain.command_plugin.__main__ import skip_the_sdk; skip_the_sdk()\n"
        "import toolchain.command_plugin.server, sys; print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "pulumi.runtime.proto.provider_pb2" in loaded
    assert not {"pulumi.output", "asyncssh", "paramiko"} & set(loaded)


def test_it_ends_when_the_process_that_started_it_is_gone(tmp_path):
    starter = (
        "import subprocess, sys\n"
        "plugin = subprocess.Popen([sys.executable, '-m', 'toolchain.command_plugin'],"
        " stdout=subprocess.PIPE, text=True)\n"
        "plugin.stdout.readline()\n"
        "print(plugin.pid)\n"
    )
    started = subprocess.run(
        [sys.executable, "-c", starter], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    pid = int(started.stdout)
    deadline = time.monotonic() + 15
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody reaps orphans, a process that has ended stays as a zombie.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_it_gives_the_version_it_stands_in_for(plugin):
    assert plugin.stub.GetPluginInfo(Empty()).version == "1.2.1"


def test_it_takes_secrets_and_previews(plugin):
    shaken = plugin.stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="unused"))
    assert (shaken.accept_secrets, shaken.accept_resources) == (True, True)
    configured = plugin.stub.Configure(provider_pb2.ConfigureRequest())
    assert (configured.acceptSecrets, configured.supportsPreview) == (True, True)


def test_its_configuration_is_accepted_and_never_a_change(plugin):
    news = values.encode({"version": "1.2.1"})
    assert plugin.stub.CheckConfig(provider_pb2.CheckRequest(news=news)).inputs == news
    answer = plugin.stub.DiffConfig(provider_pb2.DiffRequest(news=news))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_reading_finds_everything_as_the_state_has_it(plugin):
    request = provider_pb2.ReadRequest(
        id="thing123",
        urn=urn(LOCAL, "thing"),
        properties=values.encode({"create": "true", "stdout": "x"}),
        inputs=values.encode({"create": "true"}),
    )
    answer = plugin.stub.Read(request)
    assert (answer.id, answer.properties, answer.inputs) == ("thing123", request.properties, request.inputs)


def test_an_id_is_the_name_and_a_random_end(plugin):
    request = provider_pb2.CreateRequest(urn=urn(LOCAL, "thing"), properties=values.encode({}))
    first, second = plugin.stub.Create(request).id, plugin.stub.Create(request).id
    assert first.startswith("thing")
    assert len(first) == len("thing") + 8
    assert first != second


def test_a_resource_inside_a_component_is_known_by_its_own_type(plugin):
    request = provider_pb2.CheckRequest(
        urn=f"urn:pulumi:dev::project::my:Component${LOCAL}::thing", news=values.encode({"nonsense": "x"})
    )
    (failure,) = plugin.stub.Check(request).failures
    assert "command:local:Command" in failure.reason


def test_a_type_that_is_unknown_is_named(plugin):
    with pytest.raises(grpc.RpcError, match=r"unknown resource type 'command:local:Nothing'"):
        plugin.check("command:local:Nothing", {})


def test_the_function_runs_at_once_and_returns_its_inputs_too(plugin):
    answer = invoke(plugin, RUN, {"command": "cat", "stdin": Secret("hello")})
    assert values.decode(getattr(answer, "return")) == {
        "command": "cat",
        "stdin": Secret("hello"),
        "stdout": "hello",
        "stderr": "",
    }


def test_the_function_names_what_is_missing(plugin):
    (failure,) = invoke(plugin, RUN, {}).failures
    assert failure.property == "command"


def test_the_function_fails_as_a_command_does(plugin):
    with pytest.raises(grpc.RpcError, match=r'exit status 4: running "exit 4"'):
        invoke(plugin, RUN, {"command": "exit 4"})


def test_a_function_that_is_unknown_is_named(plugin):
    with pytest.raises(grpc.RpcError, match=r"function 'command:local:walk' not found"):
        invoke(plugin, "command:local:walk", {})


def invoke(plugin, token, arguments):
    return plugin.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=values.encode(arguments)))


def test_cancelling_stops_a_local_command_and_the_dialling(start_plugin, tmp_path):
    plugin = start_plugin()
    nowhere = {"host": "127.0.0.1", "port": 1.0, "dialErrorLimit": -1.0}
    with ThreadPoolExecutor() as pool:
        local = pool.submit(plugin.create, LOCAL, {"create": f"touch {tmp_path}/started; exec sleep 60"})
        remote = pool.submit(
            plugin.create, REMOTE, {"connection": nowhere, "create": "true"}, name="cancelled"
        )
        deadline = time.monotonic() + 15
        while not ((tmp_path / "started").exists() and plugin.log.lines("cancelled")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        plugin.stub.Cancel(Empty())
        with pytest.raises(CommandFailedError, match=r"^context canceled: running"):
            local.result(15)
        with pytest.raises(CommandFailedError, match=r"^context canceled$"):
            remote.result(15)


def test_many_commands_run_side_by_side(plugin, tmp_path):
    """Each waits for all the others: with fewer at a time than that, none would end."""
    count = 40
    wait = f"touch {tmp_path}/$N; while [ $(ls {tmp_path} | wc -l) -lt {count} ]; do sleep 0.2; done"
    with ThreadPoolExecutor(count) as pool:
        waiting = [
            pool.submit(plugin.create, LOCAL, {"create": wait, "environment": {"N": str(n)}})
            for n in range(count)
        ]
        for each in waiting:
            each.result(60)
