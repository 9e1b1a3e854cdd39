"""Dialling: who may log in, which host key is expected, how often it is tried, and by which way."""

import os
import socket
import subprocess

import asyncssh
import pytest
from conftest import REMOTE, CommandFailedError


def run_on(plugin, connection, **more):
    return plugin.create(REMOTE, {"connection": connection, "create": "echo here"}, **more)["stdout"]


def without(connection, *names):
    return {name: value for name, value in connection.items() if name not in names}


@pytest.fixture
def closed_port():
    """A port that nobody listens on and nobody else is given."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_another_host_key_than_the_expected_one_is_refused(plugin, machine):
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(CommandFailedError, match=r"after 0 failed attempts: .*host key mismatch"):
        run_on(plugin, machine.connection(hostKey=stranger))
    assert not machine.logins


def test_only_the_expected_keys_algorithm_is_offered(plugin, machine):
    """The machine has an ed25519 key only, so a pinned ECDSA key leaves nothing in common."""
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    with pytest.raises(CommandFailedError, match=r"handshake failed: .*compatible server host key"):
        run_on(plugin, machine.connection(hostKey=other))


def test_without_a_host_key_any_host_is_accepted(plugin, machine):
    assert run_on(plugin, without(machine.connection(), "hostKey")) == "here"


def test_a_host_key_that_is_none_fails_before_anything_is_dialled(plugin, machine):
    with pytest.raises(CommandFailedError, match=r"failed to parse host key: connection.hostKey"):
        run_on(plugin, machine.connection(hostKey="gibberish"))
    assert machine.dials == 0


def test_a_private_key_that_is_none_fails_at_once_and_is_not_shown(plugin, machine):
    with pytest.raises(CommandFailedError, match=r"connection.privateKey cannot be read: ") as failure:
        run_on(plugin, machine.connection(privateKey="my-very-secret"))
    assert "my-very-secret" not in str(failure.value)
    assert machine.dials == 0


def test_a_key_under_a_passphrase_is_opened_with_the_right_one_only(plugin, machine):
    protected = machine.user_key.export_private_key("pkcs8-pem", "open sesame").decode()
    connection = machine.connection(privateKey=protected)
    assert run_on(plugin, {**connection, "privateKeyPassword": "open sesame"}) == "here"
    with pytest.raises(CommandFailedError, match=r"connection.privateKey cannot be read: Passphrase must be"):
        run_on(plugin, connection)
    with pytest.raises(CommandFailedError, match=r"connection.privateKey cannot be read: Unable to decrypt"):
        run_on(plugin, {**connection, "privateKeyPassword": "wrong"})


def test_a_password_will_do_where_there_is_no_key(plugin, machine):
    connection = without(machine.connection(password=machine.password), "privateKey")
    assert run_on(plugin, connection) == "here"
    assert machine.logins == {"somebody by password"}


def test_a_wrong_password_is_told_and_not_shown(plugin, machine):
    connection = without(machine.connection(password="hunter2"), "privateKey")
    with pytest.raises(CommandFailedError, match=r"unable to authenticate as somebody") as failure:
        run_on(plugin, connection)
    assert "hunter2" not in str(failure.value)


def test_a_key_of_the_persons_own_is_not_tried(start_plugin, machine, tmp_path):
    keys = tmp_path / ".ssh"
    keys.mkdir()
    machine.user_key.write_private_key(str(keys / "id_ed25519"))
    plugin = start_plugin(HOME=str(tmp_path))
    with pytest.raises(CommandFailedError, match=r"unable to authenticate"):
        run_on(plugin, without(machine.connection(), "privateKey"))


@pytest.fixture
def agent(machine, tmp_path):
    """OpenSSH's agent, holding the key of the machine."""
    path = str(tmp_path / "agent.sock")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    process.stdout.readline()  # it has told where it listens
    key = tmp_path / "key"
    machine.user_key.write_private_key(str(key))
    key.chmod(0o600)
    environment = {**os.environ, "SSH_AUTH_SOCK": path}
    subprocess.run(["ssh-add", "-q", key], env=environment, check=True, capture_output=True)
    yield path
    process.kill()
    process.wait()
    process.stdout.close()


def test_an_agent_is_asked_by_its_path_or_by_the_environment(plugin, start_plugin, machine, agent):
    connection = without(machine.connection(), "privateKey")
    assert run_on(plugin, {**connection, "agentSocketPath": agent}) == "here"
    assert run_on(start_plugin(SSH_AUTH_SOCK=agent), connection) == "here"


def test_an_agent_that_is_gone_fails_even_where_a_key_is_given(plugin, machine, tmp_path):
    with pytest.raises(CommandFailedError, match=r"dial unix .*/gone.sock: .*unset SSH_AUTH_SOCK"):
        run_on(plugin, machine.connection(agentSocketPath=str(tmp_path / "gone.sock")))


def test_dialling_is_tried_again_as_often_as_the_limit_says(plugin, closed_port):
    connection = {"host": "127.0.0.1", "port": float(closed_port), "dialErrorLimit": 2.0}
    with pytest.raises(
        CommandFailedError, match=r"^after 2 failed attempts: dial tcp .*: connection refused$"
    ):
        run_on(plugin, connection, name="dialler")
    assert plugin.log.lines("dialler") == ["Dial 1/2 failed: retrying", "Dial 2/2 failed: retrying"]


def test_a_refused_login_is_tried_again_too(plugin, machine):
    connection = without(machine.connection(password="wrong", dialErrorLimit=1.0), "privateKey")
    with pytest.raises(CommandFailedError, match=r"after 1 failed attempts"):
        run_on(plugin, connection)
    assert machine.dials == 2


def test_without_a_limit_only_the_custom_timeout_ends_the_dialling(plugin, closed_port):
    connection = {"host": "127.0.0.1", "port": float(closed_port), "dialErrorLimit": -1.0}
    with pytest.raises(CommandFailedError, match=r"^context deadline exceeded$"):
        run_on(plugin, connection, name="endless", timeout=1.0)
    lines = plugin.log.lines("endless")
    assert len(lines) >= 3
    assert lines[0] == "Dial 1/inf failed: retrying"


def test_a_dial_that_is_not_answered_ends_after_its_timeout(plugin):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        connection = {"host": "127.0.0.1", "port": float(port), "perDialTimeout": 1.0, "dialErrorLimit": 0.0}
        with pytest.raises(CommandFailedError, match=r"after 0 failed attempts: .*i/o timeout"):
            run_on(plugin, connection)


def test_a_host_name_that_is_unknown_is_named(plugin):
    with pytest.raises(CommandFailedError, match=r"dial tcp no-such-host.invalid:22: connect: "):
        run_on(plugin, {"host": "no-such-host.invalid", "dialErrorLimit": 0.0})


def test_a_proxy_is_passed_on_the_way(plugin, start_machine):
    bastion, target = start_machine(), start_machine()
    assert run_on(plugin, target.connection(proxy=bastion.connection(user="guard"))) == "here"
    assert bastion.forwards == [target.port]
    assert bastion.logins == {"guard by key"}


def test_a_proxy_that_refuses_is_told_apart(plugin, start_machine):
    bastion, target = start_machine(), start_machine()
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(CommandFailedError, match=r"^proxy: after 0 failed attempts: .*host key mismatch"):
        run_on(plugin, target.connection(proxy=bastion.connection(hostKey=stranger)))
    assert target.dials == 0
