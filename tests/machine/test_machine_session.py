"""What a customer's SSH session is like."""

from __future__ import annotations

import asyncio
import hashlib
import os

import asyncssh
import paramiko
import pytest
from fabric import Connection
from rented_machine import Rented, Yard, new_key, poll


def test_exit_codes_reach_the_client(machine: Rented) -> None:
    assert [machine.ssh(f"exit {code}").returncode for code in (0, 1, 42, 254)] == [0, 1, 42, 254]


def test_a_killed_command_is_reported_by_its_signal(machine: Rented) -> None:
    async def run() -> tuple[str, bool, str, str]:
        async with machine.connect() as connection:
            return (await connection.run("kill -KILL $$")).exit_signal

    assert asyncio.run(run())[0] == "KILL"


def test_a_signal_from_the_client_ends_the_command(machine: Rented) -> None:
    async def run() -> int:
        async with machine.connect() as connection:
            process = await connection.create_process("sleep 1000")
            process.terminate()
            return (await process.wait()).returncode

    assert asyncio.run(run()) == -15


def test_output_and_errors_stay_apart(machine: Rented) -> None:
    done = machine.ssh("echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_sessions_are_roots_in_its_home(machine: Rented) -> None:
    out = machine.output("echo $USER $HOME; pwd; cd ~; pwd")
    assert out == f"root {machine.home}\n{machine.home}\n{machine.home}\n"


@pytest.mark.parametrize("size", [1, 65536, 12_345_678])
def test_input_arrives_to_the_last_byte(machine: Rented, size: int) -> None:
    data = os.urandom(size)
    out = machine.output("sleep 0.1; sha256sum", stdin=data)
    assert out.split()[0] == hashlib.sha256(data).hexdigest()


def test_output_arrives_to_the_last_byte(machine: Rented) -> None:
    data = os.urandom(12_345_678)
    assert machine.ssh("cat", stdin=data).stdout == data


def test_a_script_on_stdin_runs(machine: Rented) -> None:
    assert machine.ssh("", stdin=b"echo one\nexit 9\n").returncode == 9


def test_a_command_that_ignores_its_input_ends(machine: Rented) -> None:
    assert machine.ssh("head -c 5 >/dev/null; echo done", stdin=b"x" * 3_000_000).stdout == b"done\n"


def test_a_command_that_is_not_there_gives_127(machine: Rented) -> None:
    assert machine.ssh("no-such-command").returncode == 127


def test_a_command_may_be_as_long_as_the_kernel_takes(machine: Rented) -> None:
    async def run(length: int) -> asyncssh.SSHCompletedProcess:
        async with machine.connect() as connection:
            return await connection.run("echo " + "x" * length)

    assert len(asyncio.run(run(130_000)).stdout) == 130_001
    refused = asyncio.run(run(140_000))
    assert refused.exit_status != 0
    assert "Argument list too long" in refused.stderr
    assert machine.output("echo alive") == "alive\n"


def test_a_terminal_is_one_and_has_the_size_that_was_asked_for(machine: Rented) -> None:
    async def run() -> str:
        async with machine.connect() as connection:
            process = await connection.create_process(
                "read line; stty size; tty; echo $TERM", term_type="xterm-256color", term_size=(80, 24)
            )
            process.change_terminal_size(132, 43)
            process.stdin.write("\n")
            return (await process.wait()).stdout

    echo, size, tty, term = asyncio.run(run()).split("\r\n")[:4]
    assert (echo, size, term) == ("", "43 132", "xterm-256color")
    assert tty.startswith("/dev/pts/")


def test_a_terminal_turns_control_c_into_an_interrupt(machine: Rented) -> None:
    async def run() -> int | None:
        async with machine.connect() as connection:
            process = await connection.create_process("echo ready; sleep 1000", term_type="xterm")
            await process.stdout.readline()
            process.stdin.write("\x03")
            return (await process.wait()).returncode

    assert asyncio.run(run()) == -2


def test_a_detached_process_outlives_its_session(machine: Rented) -> None:
    machine.output("nohup sh -c 'sleep 0.2; echo late > ~/late' >/dev/null 2>&1 </dev/null &")
    assert poll(lambda: machine.ssh("cat ~/late").stdout) == b"late\n"


def test_a_dropped_connection_closes_the_terminal(machine: Rented) -> None:
    async def run() -> None:
        async with machine.connect() as connection:
            process = await connection.create_process(
                "trap 'echo hangup > ~/hangup; exit' HUP; echo ready; while :; do sleep 0.05; done",
                term_type="xterm",
            )
            await process.stdout.readline()
            connection.abort()

    asyncio.run(run())
    assert poll(lambda: machine.ssh("cat ~/hangup").stdout) == b"hangup\n"


def test_environment_from_the_client_is_refused(yard: Yard) -> None:
    machine = yard.rent()
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect("127.0.0.1", machine.direct, "root", key_filename=str(machine.key))
        channel = client.get_transport().open_session()
        request = paramiko.Message()
        request.add_byte(b"\x62")  # SSH_MSG_CHANNEL_REQUEST
        request.add_int(channel.remote_chanid)
        request.add_string("env")
        request.add_boolean(True)
        request.add_string("LC_ALL")
        request.add_string("C")
        channel._event_pending()
        client.get_transport()._send_user_message(request)
        with pytest.raises(paramiko.SSHException, match="Channel closed"):
            channel._wait_for_event()


def test_only_listed_keys_of_root_may_log_in(yard: Yard) -> None:
    machine = yard.rent()
    assert machine.ssh("true").returncode == 0
    assert machine.ssh("true", user="ubuntu").returncode == 255
    machine.key = yard.root / "stranger"
    new_key(machine.key)
    refused = machine.ssh("true")
    assert refused.returncode == 255
    assert b"Permission denied (publickey)" in refused.stderr


def test_a_key_added_inside_works_until_the_platform_rewrites_the_file(machine: Rented, yard: Yard) -> None:
    stranger = yard.root / "stranger"
    new_key(stranger)
    added = stranger.with_suffix(".pub").read_bytes()
    machine.output("cat >> ~/.ssh/authorized_keys", stdin=added)
    owner, machine.key = machine.key, stranger
    assert machine.ssh("true").returncode == 0
    machine.host.set_authorized_keys([owner.with_suffix(".pub").read_text()])
    assert machine.ssh("true").returncode == 255
    machine.key = owner
    assert machine.output("ls ~/.ssh") == "authorized_keys\n"


def test_fabric_runs_puts_and_gets(machine: Rented, yard: Yard) -> None:
    (yard.root / "dataset.toml").write_text("[general]\n")
    connect = {"key_filename": str(machine.key), "look_for_keys": False, "allow_agent": False}
    with Connection("127.0.0.1", "root", machine.direct, connect_kwargs=connect) as connection:
        connection.put(str(yard.root / "dataset.toml"), f"{machine.workspace}/dataset.toml")
        assert (
            connection.run(f"cat {machine.workspace}/dataset.toml", hide=True, in_stream=False).stdout
            == "[general]\n"
        )
        connection.get(f"{machine.workspace}/dataset.toml", str(yard.root / "back.toml"))
    assert (yard.root / "back.toml").read_text() == "[general]\n"


def test_many_sessions_share_one_connection(machine: Rented) -> None:
    async def run() -> list[str]:
        async with machine.connect() as connection:
            results = await asyncio.gather(*(connection.run(f"sleep 0.1; echo {n}") for n in range(30)))
        return [result.stdout for result in results]

    assert asyncio.run(run()) == [f"{n}\n" for n in range(30)]


def test_an_unknown_subsystem_is_refused(yard: Yard) -> None:
    machine = yard.rent()

    async def run() -> None:
        async with machine.connect() as connection:
            await connection.create_process(subsystem="netconf")

    with pytest.raises(asyncssh.ChannelOpenError):
        asyncio.run(run())
