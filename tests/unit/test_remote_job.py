"""Jobs on a machine, under a real bash: started once, followed, stopped, and never taken for another."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_machine import NAME, WAIT, Machine, alive, until

from components.remote.job import (
    Job,
    JobStatus,
    log_script,
    parse_status,
    start_script,
    status_script,
    stop_script,
)


@pytest.fixture(params=["workspace", 'it\'s a "work" $space'])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


@pytest.fixture
def machine(workspace: Path) -> Iterator[Machine]:
    machine = Machine(workspace)
    yield machine
    for path in workspace.glob(".fragua/jobs/*/group"):
        with suppress(ProcessLookupError):
            os.killpg(int(path.read_text()), signal.SIGKILL)


def test_a_job_runs_in_the_workspace_and_is_done(machine: Machine) -> None:
    machine.start("pwd; echo made > made.txt")

    assert machine.ended() == JobStatus(
        NAME, "done", 0, len(f"{machine.workspace}\n"), str(machine.workspace)[:200]
    )
    assert (machine.workspace / "made.txt").read_text() == "made\n"


def test_a_job_outlives_the_script_that_started_it(machine: Machine) -> None:
    machine.start(WAIT)
    machine.group()

    assert machine.status().state == "running"
    (machine.workspace / "go").touch()
    assert machine.ended().state == "done"


def test_a_job_that_runs_is_left_alone(machine: Machine) -> None:
    machine.start(WAIT)
    group = machine.group()
    machine.start(WAIT)

    assert machine.group() == group
    assert machine.log() == "up\n"


def test_a_job_that_is_done_is_left_alone(machine: Machine) -> None:
    machine.start("echo once >> count")
    machine.ended()
    machine.start("echo once >> count")

    assert machine.status().state == "done"
    assert (machine.workspace / "count").read_text() == "once\n"


@pytest.mark.parametrize(
    ("script", "code"), [("exit 3", 3), ("false", 1), ("echo $unset", 1), ("false | true", 1)]
)
def test_a_job_whose_script_fails_has_failed(machine: Machine, script: str, code: int) -> None:
    machine.start(f"{script}\necho still here")
    state = machine.ended()

    assert (state.state, state.exit_code) == ("failed", code)
    assert "still here" not in machine.log()


def test_a_job_that_failed_is_started_again(machine: Machine) -> None:
    script = "[ -e go ] || exit 1"
    machine.start(script)
    assert machine.ended().state == "failed"
    (machine.workspace / "go").touch()
    machine.start(script)

    assert machine.ended().state == "done"


def test_another_script_of_the_same_name_stops_the_older_one(machine: Machine) -> None:
    machine.start(WAIT)
    older = machine.group()
    machine.start("echo newer")

    assert machine.ended().tail == "newer"
    until(lambda: not alive(older))


def test_another_script_replaces_one_that_is_done(machine: Machine) -> None:
    machine.start("echo older")
    machine.ended()
    machine.start("echo newer")

    assert machine.ended().tail == "newer"
    assert machine.log() == "newer\n"


def test_a_job_that_was_killed_is_lost_and_can_be_started_again(machine: Machine) -> None:
    machine.start(WAIT)
    machine.signal(signal.SIGKILL)
    state = machine.ended()
    assert (state.state, state.exit_code) == ("lost", None)
    (machine.workspace / "go").touch()
    machine.start(WAIT)

    assert machine.ended().state == "done"


def test_a_job_runs_as_long_as_any_of_its_processes(machine: Machine) -> None:
    machine.start(WAIT)
    os.kill(machine.group(), signal.SIGKILL)

    assert machine.status().state == "running"
    machine.signal(signal.SIGKILL)
    assert machine.ended().state == "lost"


def test_a_job_is_stopped_with_all_its_processes(machine: Machine) -> None:
    machine.start(f"({WAIT}) &\n{WAIT}")
    group = machine.group()
    machine.run(stop_script(NAME))

    assert machine.ended().state == "lost"
    until(lambda: not alive(group))


@pytest.mark.parametrize(
    "end", [stop_script(NAME), start_script(Job(NAME, "echo newer"))], ids=["stop", "start"]
)
def test_a_job_that_ignores_being_asked_is_killed(machine: Machine, end: str) -> None:
    machine.start(f"trap '' TERM\n{WAIT}")
    group = machine.group()
    machine.run(end.replace("flock -w 10 ", "flock -w 0.2 "))

    machine.ended()
    until(lambda: not alive(group))


def test_a_stopped_job_can_be_started_again(machine: Machine) -> None:
    machine.start(WAIT)
    machine.group()
    machine.run(stop_script(NAME))
    (machine.workspace / "go").touch()
    machine.start(WAIT)

    assert machine.ended().state == "done"


def test_stopping_what_never_was_does_nothing(machine: Machine) -> None:
    machine.run(stop_script("nothing"))

    assert machine.status("nothing") == JobStatus("nothing", "absent", None, 0, "")


def test_stopping_what_has_ended_leaves_a_stranger_with_its_process_id_alone(machine: Machine) -> None:
    """After a reboot, a machine deals the same numbers again."""
    machine.start("true")
    machine.ended()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        machine.path("group").write_text(f"{stranger.pid}\n")
        machine.run(stop_script(NAME))
        survived = stranger.poll() is None
        stranger.kill()

    assert survived


def test_several_jobs_are_told_apart_whatever_they_have_printed(machine: Machine) -> None:
    machine.start("printf 'a\\x0cb\\xc2\\x85c'", "odd")
    machine.start("true", "silent")
    machine.start("printf '\\n \\n\\t\\n'", "blank")
    machine.start("printf '10%%\\r20%%\\r'; exit 7", "bar")
    names = ["silent", "odd", "absent", "blank", "bar", "silent2"]
    for name in ("odd", "silent", "blank", "bar"):
        machine.ended(name)
    states = parse_status(machine.run(status_script(names)))

    assert list(states) == names
    assert [(state.state, state.tail) for state in states.values()] == [
        ("done", ""),
        ("done", "a\x0cb\x85c"),
        ("absent", ""),
        ("done", ""),
        ("failed", "20%"),
        ("absent", ""),
    ]
    assert states["bar"].exit_code == 7


@given(
    st.lists(st.tuples(st.sampled_from(["absent", "running", "done"]), st.text(max_size=9).map(str.strip)))
)
def test_whatever_a_log_ends_with_the_states_are_read(jobs: list[tuple[str, str]]) -> None:
    tails = [tail.replace("\n", "") for _, tail in jobs]
    printed = "".join(f"job{place} {state} - 5\n{tails[place]}\n" for place, (state, _) in enumerate(jobs))
    states = parse_status(printed) if jobs else {}

    assert [state.state for state in states.values()] == [state for state, _ in jobs]
    assert [state.tail for state in states.values()] == [tail.strip() for tail in tails]


def test_a_long_line_is_told_by_its_end_and_beginning_only(machine: Machine) -> None:
    machine.start("printf 'x%.0s' {1..5000}")

    assert machine.ended().tail == "x" * 200


def test_a_log_is_read_from_any_byte_on(machine: Machine) -> None:
    machine.start("printf 'αβγ\\n'")
    machine.ended()

    assert machine.run(log_script(NAME, 2)) == "βγ\n"
    assert machine.run(log_script(NAME, 2, limit=2)) == "β"
    assert machine.run(log_script(NAME, 7)) == ""


@settings(max_examples=40)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_script_arrives_byte_for_byte(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    machine = Machine(tmp_path_factory.mktemp("machine") / "work space")
    script = f"exit 0\n{text}"  # nothing of the text is run
    machine.start(script)

    assert machine.ended().state == "done"
    assert machine.path("script").read_bytes() == f"set -euo pipefail\n{script}\n".encode()


@pytest.mark.parametrize(
    "script", ["", "\n", "echo 'a\"b`c$d\\e'", "cat <<'END'\n$x\nEND", "# END-0", "true\r", "é\\"]
)
def test_scripts_differ_by_their_digest(script: str) -> None:
    assert Job(NAME, script).digest != Job(NAME, f"{script} ").digest
    assert Job(NAME, script).digest == Job("other", script).digest


def test_a_secret_in_a_script_is_not_in_what_it_answers(machine: Machine) -> None:
    assert "hf_secret" not in machine.run(start_script(Job(NAME, "TOKEN=hf_secret true")))
