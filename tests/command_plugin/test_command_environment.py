"""Variables of a remote command on a server that refuses them, as sshd does without AcceptEnv."""

import socket
import subprocess
import threading

import paramiko
import pytest
from conftest import REMOTE, CommandFailedError


class Refusing(paramiko.ServerInterface):
    """Lets everyone in and runs commands; paramiko refuses variables unless it is told not to."""

    def check_auth_password(self, username, password):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=self._run, args=(channel, command)).start()
        return True

    def _run(self, channel, command):
        done = subprocess.run(command, shell=True, capture_output=True, check=False)
        channel.sendall(done.stdout)
        channel.send_exit_status(done.returncode)
        channel.close()


@pytest.fixture
def refusing_connection():
    listener = socket.create_server(("127.0.0.1", 0))
    host_key = paramiko.RSAKey.generate(2048)

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(client)
            transport.daemon = True
            transport.add_server_key(host_key)
            transport.start_server(server=Refusing())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield {"host": "127.0.0.1", "port": float(listener.getsockname()[1]), "password": "any"}
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_refused_variable_fails_before_the_command_runs(plugin, refusing_connection, tmp_path):
    news = {
        "connection": refusing_connection,
        "create": f"touch {tmp_path}/ran",
        "environment": {"COLOUR": "blue"},
    }
    with pytest.raises(CommandFailedError, match=r'could not set environment variable "COLOUR"'):
        plugin.create(REMOTE, news, name="refused")
    assert not (tmp_path / "ran").exists()
    assert any("AcceptEnv" in line for line in plugin.log.lines("refused"))


def test_a_last_output_that_is_refused_is_a_warning_only(plugin, refusing_connection):
    news = {"connection": refusing_connection, "create": 'echo "[$PULUMI_COMMAND_STDOUT]"'}
    state = plugin.create(REMOTE, news)
    assert plugin.update(REMOTE, state, news, name="warned")["stdout"] == "[]"
    (line,) = [line for line in plugin.log.lines("warned") if "PULUMI_COMMAND_STDOUT" in line]
    assert line.startswith("Unable to set 'PULUMI_COMMAND_STDOUT'")
