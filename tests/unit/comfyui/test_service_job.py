"""Services under a real bash: started again, told apart from who holds their port, and ended wholly."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from job_machine import Machine, alive, until

from components.comfyui.service import ENDED, service
from components.remote.job import stop_script


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "workspace")
    yield machine
    for path in tmp_path.glob("workspace/.fragua/jobs/*/group"):
        with suppress(ProcessLookupError):
            os.killpg(int(path.read_text()), signal.SIGKILL)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def script(port: int, command: str) -> str:
    return service("web", port, command).script


def test_a_service_that_ends_is_started_again_and_its_log_says_how_it_ended(
    machine: Machine, port: int
) -> None:
    machine.start(
        script(port, 'echo up >> ups; [ "$(wc -l < ups)" -ge 3 ] || exit 7; exec sleep 1000'), "web"
    )

    until(
        lambda: (machine.workspace / "ups").exists() and (machine.workspace / "ups").read_text() == "up\n" * 3
    )
    log = machine.log("web")
    assert log.count(f"web {ENDED} 7 after") == 2
    assert "starting it again in 1 s" in log
    assert "starting it again in 2 s" in log
    assert machine.status("web").state == "running"


def test_the_process_of_a_service_is_known_and_may_be_ended_to_start_it_anew(
    machine: Machine, port: int
) -> None:
    machine.start(script(port, "exec sleep 1000"), "web")
    file = machine.workspace / ".fragua/web.pid"
    first = int(until(lambda: file.exists() and file.read_text().strip()))
    os.kill(first, signal.SIGTERM)

    until(lambda: file.read_text().strip() not in ("", str(first)))
    assert not Path(f"/proc/{first}").exists()


def test_a_service_ends_with_all_that_it_started(machine: Machine, port: int) -> None:
    machine.start(script(port, "sleep 1000 & exec sleep 1000"), "web")
    file = machine.workspace / ".fragua/web.pid"
    until(lambda: file.exists() and file.read_text().strip())
    group = int(machine.path("group", "web").read_text())
    machine.run(stop_script("web"))

    assert not alive(group)
    assert machine.status("web").state in ("lost", "failed")


LINES = "for number in {1000..1999}; do echo $number; done; until [ -e go ]; do sleep 0.05; done"


def short_logs(job: str) -> str:
    """In far less time, and bytes."""
    return job.replace("sleep 60", "sleep 0.1").replace(f"{16 << 20}", "4000").replace(f"{4 << 20}", "50")


def test_of_a_long_log_the_end_is_kept_and_the_service_goes_on_writing(machine: Machine, port: int) -> None:
    machine.start(short_logs(script(port, f"{LINES}; echo more; exec sleep 1000")), "web")
    log = machine.path("log", "web")

    until(lambda: log.exists() and log.read_text() == "".join(f"{number}\n" for number in range(1990, 2000)))
    (machine.workspace / "go").touch()
    until(lambda: log.read_text().endswith("1999\nmore\n"))
    assert log.stat().st_size == 55
    assert machine.status("web").tail == "more"


def test_on_a_full_disk_a_long_log_goes_and_later_ones_are_cut_again(machine: Machine, port: int) -> None:
    log, end = machine.path("log", "web"), machine.path("log.end", "web")
    end.parent.mkdir(parents=True)
    end.symlink_to("/dev/full")
    machine.start(short_logs(script(port, f"{LINES}; {LINES}; exec sleep 1000")), "web")

    until(lambda: not end.is_symlink())
    (machine.workspace / "go").touch()
    until(lambda: log.read_text() == "".join(f"{number}\n" for number in range(1990, 2000)))


def test_who_holds_the_port_is_named(machine: Machine, port: int) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        machine.start(script(port, "exec sleep 1000"), "web")

        status = until(lambda: machine.status("web").state == "failed" and machine.status("web"))

    assert status.exit_code == 1
    assert f"web: port {port} is taken by process {os.getpid()} (" in status.tail


def test_the_same_service_is_started_once(machine: Machine, port: int) -> None:
    job = script(port, "echo up >> ups; exec sleep 1000")
    machine.start(job, "web")
    until((machine.workspace / "ups").exists)
    machine.start(job, "web")

    assert (machine.workspace / "ups").read_text() == "up\n"


def test_another_command_takes_the_place_of_the_first(machine: Machine, port: int) -> None:
    machine.start(script(port, "echo old >> ups; exec sleep 1000"), "web")
    until((machine.workspace / "ups").exists)
    machine.start(script(port, "echo new >> ups; exec sleep 1000"), "web")

    until(lambda: (machine.workspace / "ups").read_text() == "old\nnew\n")
