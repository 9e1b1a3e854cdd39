"""`df`, `free`, `nproc`, `supervisorctl` and `apt-get`: the machine as rented."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from image_machine import Machine


def test_df_shows_the_rented_disk_and_what_lies_on_it(machine: Machine) -> None:
    workspace = machine.home / "workspace"
    workspace.mkdir()
    machine.environment["WORKSPACE"] = str(workspace)

    def available() -> int:
        done = machine.run("df", "-B1", "--output=avail", "/")
        head, value = done.stdout.splitlines()
        assert head.strip() == "Avail"
        return int(value)

    before = available()
    assert 50e9 < before < 100e9
    with (workspace / "model").open("wb") as file:
        file.truncate(7_000_000_000)
    assert before - available() == 7_000_000_000


def test_df_aligns_its_columns(machine: Machine) -> None:
    lines = machine.run("df", "-h", "/").stdout.splitlines()
    assert lines[0] == "Filesystem      Size  Used Avail Use% Mounted on"
    assert lines[1].startswith("overlay          94G")
    assert machine.run("df", "-k").stdout.splitlines()[0].split()[1] == "1K-blocks"
    assert machine.run("df", "/nowhere").stderr == "df: /nowhere: No such file or directory\n"


def test_df_of_a_full_disk_has_nothing_left(machine: Machine) -> None:
    machine.write_facts(faults=["disk_full"])

    assert machine.run("df", "--output=avail,pcent", "-B1", "/").stdout.split()[-2:] == ["0", "100%"]


def test_free_and_nproc_show_the_rented_share(machine: Machine) -> None:
    assert machine.run("nproc").stdout == "8\n"
    memory = machine.run("free", "-m").stdout.splitlines()[1].split()
    assert memory[:2] == ["Mem:", "65536"]
    assert 0 < int(memory[6]) < 65536
    assert machine.run("free", "-h").stdout.splitlines()[1].split()[1] == "64Gi"


def test_supervisorctl_stops_and_starts_the_services_of_the_image(machine: Machine) -> None:
    machine.write_facts(image="vastai/kohya:latest")

    running = machine.run("supervisorctl", "status", "kohya")
    assert running.returncode == 0
    assert running.stdout.startswith("kohya                            RUNNING   pid ")
    assert machine.run("supervisorctl", "stop", "kohya").stdout == "kohya: stopped\n"
    assert machine.run("supervisorctl", "status", "kohya").returncode == 3
    assert machine.run("supervisorctl", "stop", "kohya").stdout == "kohya: ERROR (not running)\n"
    assert machine.run("supervisorctl", "start", "kohya").stdout == "kohya: started\n"
    assert machine.run("supervisorctl", "stop", "comfyui").stdout == "comfyui: ERROR (no such process)\n"


def test_supervisorctl_is_not_on_other_images(machine: Machine) -> None:
    machine.write_facts(image="ubuntu:22.04")

    assert machine.run("supervisorctl", "status").returncode == 127


@pytest.mark.parametrize("program", ["apt-get", "apt"])
def test_apt_installs_what_it_knows_and_once(machine: Machine, program: str) -> None:
    assert machine.run(program, "update").returncode == 0
    done = machine.run(program, "install", "-y", "rclone", "git")
    assert done.returncode == 0
    assert "git is already the newest version." in done.stdout
    assert "Setting up rclone ..." in done.stdout
    assert "0 newly installed" in machine.run(program, "install", "-y", "rclone").stdout
    unknown = machine.run(program, "install", "-y", "nosuch")
    assert (unknown.returncode, unknown.stderr) == (100, "E: Unable to locate package nosuch\n")


def test_apt_finds_haproxy_where_this_host_has_it_alone(machine: Machine) -> None:
    missing = machine.run("apt-get", "install", "-y", "haproxy")
    assert (missing.returncode, missing.stderr) == (100, "E: Unable to locate package haproxy\n")

    found = machine.home / "haproxy"
    machine.write_facts(debian={"haproxy": ["/bin/true", str(found)]})
    assert machine.run("apt-get", "install", "-y", "haproxy").returncode == 0
    assert machine.run(str(found)).returncode == 0


def test_a_closed_pipe_ends_a_program_without_a_word(machine: Machine) -> None:
    done = machine.run("/bin/bash", "-c", "for i in 1 2 3 4 5; do free | true; echo ${PIPESTATUS[0]}; done")

    assert done.stderr == ""
    assert set(done.stdout.split()) <= {"0", "141"}
