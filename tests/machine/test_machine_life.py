"""Boot, preemption, restart and destruction of machines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import asyncssh
import pytest
from rented_machine import Rented, Yard, poll

from simulator.clock import Clock
from simulator.machine.sandbox import Isolation

REPOSITORY = Path(__file__).parents[2]


def processes(mark: str) -> list[int]:
    """Return the host's processes with `mark` in their command line."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in file.read_bytes():
                found.append(int(file.parent.name))
        except OSError:
            continue
    return found


def first_bytes(port: int) -> bytes:
    """Return how the web server behind `port` begins its answer; nothing while there is none."""
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return client.recv(8)
    return b""


def mark() -> str:
    """Return a number of seconds to sleep that no one else sleeps."""
    return f"9{os.getpid()}{time.monotonic_ns() % 10**6}"


def test_a_stop_kills_everything_at_once_and_keeps_the_files(machine: Rented) -> None:
    seconds = mark()
    machine.output("echo kept > ~/kept")
    machine.output(
        f"nohup bash -c 'trap \"echo flushed > ~/flushed\" TERM HUP EXIT; setsid sleep {seconds} & wait' "
        ">/dev/null 2>&1 </dev/null &"
    )
    poll(lambda: processes(seconds))
    machine.stop()
    assert processes(seconds) == []
    assert machine.host.ports == {}
    machine.start()
    assert machine.output("cat ~/kept; ls ~/flushed 2>&1 || true").startswith("kept\nls: cannot access")


def test_a_stop_does_not_even_hang_up_the_terminals(machine: Rented) -> None:
    async def run() -> None:
        async with machine.connect() as connection:
            process = await connection.create_process(
                "trap 'echo hangup > ~/hangup' HUP TERM EXIT; echo ready; while :; do sleep 0.01; done",
                term_type="xterm",
            )
            await process.stdout.readline()
            await asyncio.to_thread(machine.stop)
            await process.wait_closed()
            assert process.exit_status is None
            assert process.exit_signal is None

    asyncio.run(run())
    machine.start()
    assert machine.ssh("cat ~/hangup").returncode == 1


def test_a_stop_ends_the_sessions(machine: Rented) -> None:
    argv = ["ssh", *machine.options(), "-p", str(machine.direct), "root@127.0.0.1", "echo up; sleep 1000"]
    client = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert client.stdout.readline() == b"up\n"
    machine.stop()
    assert client.wait(10) == 255


def test_a_restart_keeps_host_key_and_proxy_port_and_changes_direct_ports(machine: Rented) -> None:
    key, ports, proxy = machine.host_key, machine.host.ports, machine.host.proxy_port
    machine.stop()
    for port in (*ports.values(), proxy):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    machine.start()
    assert machine.host_key == key
    assert machine.host.proxy_port == proxy
    assert set(machine.host.ports) == set(ports)
    assert not set(machine.host.ports.values()) & set(ports.values())
    assert machine.output("echo direct") == "direct\n"
    assert machine.output("echo proxy", port=proxy) == "proxy\n"


def test_a_restarted_simulator_finds_the_machine_again(yard: Yard) -> None:
    machine = yard.rent(name="kept")
    machine.output("echo mine > /workspace/mine")
    key, proxy = machine.host_key, machine.host.proxy_port
    machine.stop()
    machine.host._proxy.close()  # what the end of the process does
    again = yard.rent(name="kept")
    assert (again.host_key, again.host.proxy_port) == (key, proxy)
    assert again.output("cat /workspace/mine") == "mine\n"


def test_every_machine_has_its_own_host_key(yard: Yard) -> None:
    first = yard.rent(name="same")
    key = first.host_key
    assert key.startswith("ssh-ed25519 ")
    first.destroy()
    assert yard.rent(name="same").host_key != key


def test_destruction_leaves_nothing(machine: Rented) -> None:
    seconds = mark()
    machine.output(
        f"nohup setsid sleep {seconds} >/dev/null 2>&1 </dev/null & mkdir -p ~/locked/deep;"
        "echo x > ~/locked/deep/file; chmod 000 ~/locked/deep ~/locked; ln -s / ~/everything"
    )
    poll(lambda: processes(seconds))
    machine.destroy()
    assert processes(seconds) == []
    assert not machine.root.exists()
    assert str(machine.root) not in Path("/proc/mounts").read_text()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", machine.host.proxy_port))


SIMULATOR = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from rented_machine import SPEC
from dataclasses import replace
from simulator.clock import Clock
from simulator.machine.host import Machine
from simulator.machine.sandbox import Isolation

async def main():
    spec = replace(SPEC, onstart="setsid sleep {seconds} & sleep {seconds}")
    await Machine(spec, Clock(), Path({root!r}), isolation=Isolation({isolation!r})).start()
    await asyncio.sleep(1000)

asyncio.run(main())
"""


def test_a_killed_simulator_takes_its_machines_with_it(isolation: Isolation, tmp_path: Path) -> None:
    seconds = mark()
    program = SIMULATOR.format(
        tests=str(Path(__file__).parent), seconds=seconds, root=str(tmp_path / "m"), isolation=isolation.value
    )
    simulator = subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY)
    poll(lambda: len(processes(f"sleep\0{seconds}")) == 2)
    simulator.send_signal(signal.SIGKILL)
    simulator.wait()
    poll(lambda: not processes(f"sleep\0{seconds}"))
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


def test_onstart_runs_once_per_start_and_is_logged(machine: Rented, yard: Yard) -> None:
    started = yard.rent(
        isolation=machine.host.isolation,
        onstart="echo hello $GREETING from $CONTAINER_ID; echo trouble >&2; exit 3",
        image="ubuntu:22.04",
    )
    line = "hello hello there from 4711\ntrouble\n"
    poll(lambda: started.host.logs() == line)
    started.stop()
    started.start()
    poll(lambda: started.host.logs() == line * 2)
    assert machine.host.logs() == ""


def test_booting_does_not_wait_for_onstart(yard: Yard) -> None:
    machine = yard.rent(onstart="entrypoint.sh; echo never")
    assert machine.output("echo up") == "up\n"
    assert machine.host.logs() == ""


def test_a_machine_without_ssh_in_its_runtype_has_none(yard: Yard) -> None:
    machine = yard.rent(runtype="args", onstart="echo working")
    assert set(machine.host.ports) == {"8188/tcp"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", machine.host.proxy_port))
    poll(lambda: machine.host.logs() == "working\n")


def test_without_direct_only_the_proxy_serves_ssh(yard: Yard) -> None:
    machine = yard.rent(runtype="ssh_proxy")
    assert "22/tcp" not in machine.host.ports
    machine.host._ports["22/tcp"] = machine.host.proxy_port
    assert machine.output("echo proxy") == "proxy\n"


def test_dead_ssh_accepts_and_never_answers(yard: Yard) -> None:
    machine = yard.rent(faults=frozenset({"dead_ssh"}))
    for port in (machine.direct, machine.host.proxy_port):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"SSH-2.0-OpenSSH_9.0\r\n")
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(1)


def test_ports_above_65535_ask_for_one_number_inside_and_outside(yard: Yard) -> None:
    env = {"-p 70000:70000": "1", "-p 8188:18188": "1", "-p 22:22": "1", "-p 5000:5000/udp": "1", "-h": "box"}
    machine = yard.rent(env=env)
    ports = machine.host.ports
    number = ports.pop("22/tcp"), ports.pop("18188/tcp"), ports.pop("5000/udp")
    ((inside, outside),) = ports.items()
    assert inside == f"{outside}/tcp"
    assert machine.output("hostname") == "box\n"
    seen = machine.output("env | grep VAST_ | sort")
    assert seen == (
        f"VAST_CONTAINERLABEL=C.4711\nVAST_TCP_PORT_18188={number[1]}\nVAST_TCP_PORT_22={number[0]}\n"
        f"VAST_TCP_PORT_70000={outside}\nVAST_UDP_PORT_5000={number[2]}\n"
    )
    machine.output(f"nohup python3 -m http.server {outside} >/dev/null 2>&1 </dev/null &")

    assert poll(lambda: first_bytes(outside)) == b"HTTP/1.0"


def test_sessions_see_the_containers_variables_on_vast_images_only(yard: Yard) -> None:
    vast, other = yard.rent(image="vastai/comfy:v0.8.2"), yard.rent(image="pytorch/pytorch:2.7.1")
    assert vast.output("echo $GREETING $GPU_COUNT $CONTAINER_API_KEY") == "hello there 2 instance-key\n"
    assert other.output("echo $GREETING $GPU_COUNT $CONTAINER_API_KEY") == "\n"
    other.output("echo 'export GREETING=\"made visible\"' >> /etc/environment")
    assert other.output("echo $GREETING") == "made visible\n"


def test_a_second_start_changes_nothing(yard: Yard) -> None:
    machine = yard.rent()
    ports = machine.host.ports
    machine.start()
    assert machine.host.ports == ports


def test_the_clocks_speed_reaches_the_machine(yard: Yard) -> None:
    clock = Clock(60)
    machine = yard.rent(clock=clock)
    clock.set_scale(600)
    facts = machine.output("cat /etc/simulated.json")
    assert re.search(r'"scale": 600\b', facts)


def test_fifty_machines_start_in_a_few_seconds(yard: Yard) -> None:
    machines = [yard.make() for _ in range(50)]

    async def start_all() -> None:
        await asyncio.gather(*(machine.host.start() for machine in machines))

    began = time.monotonic()
    yard.loop.run(start_all())
    assert time.monotonic() - began < 20
    assert machines[49].output("echo up") == "up\n"


def test_the_host_key_is_one_that_clients_pin(yard: Yard) -> None:
    machine = yard.rent()
    pinned = asyncssh.import_known_hosts(f"[127.0.0.1]:{machine.direct} {machine.host_key}")

    async def run() -> str:
        options = {"client_keys": [str(machine.key)], "known_hosts": pinned, "config": None}
        async with asyncssh.connect("127.0.0.1", machine.direct, username="root", **options) as connection:
            return (await connection.run("echo pinned")).stdout

    assert asyncio.run(run()) == "pinned\n"
