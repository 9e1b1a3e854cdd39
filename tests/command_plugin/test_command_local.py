"""Commands on this machine."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import LOCAL, CommandFailedError

from toolchain.command_plugin.values import UNKNOWN, Secret


def test_create_runs_in_the_programs_folder_and_yields_both_streams(plugin):
    outputs = plugin.create(LOCAL, {"create": "pwd; echo oops >&2"})
    assert outputs == {"create": "pwd; echo oops >&2", "stdout": str(plugin.folder), "stderr": "oops"}


def test_only_one_closing_newline_is_cut(plugin):
    assert plugin.create(LOCAL, {"create": "printf 'a\\n\\n'"})["stdout"] == "a\n"


def test_without_create_nothing_runs(plugin):
    assert plugin.create(LOCAL, {"delete": "true"}) == {"delete": "true", "stdout": "", "stderr": ""}


def test_a_preview_runs_nothing_and_knows_no_output(plugin, tmp_path):
    outputs = plugin.create(LOCAL, {"create": f"touch {tmp_path}/made"}, preview=True)
    assert outputs["stdout"] is UNKNOWN
    assert outputs["stderr"] is UNKNOWN
    assert not (tmp_path / "made").exists()


def test_stdin_environment_dir_and_interpreter_reach_the_command(plugin, tmp_path):
    script = "import os, sys; print(os.getcwd(), os.environ['COLOUR'], sys.stdin.read())"
    outputs = plugin.create(
        LOCAL,
        {
            "create": script,
            "interpreter": ["python3", "-c"],
            "dir": str(tmp_path),
            "environment": {"COLOUR": "blue"},
            "stdin": "hello",
        },
    )
    assert outputs["stdout"] == f"{tmp_path} blue hello"


def test_a_command_may_leave_its_input_unread(plugin):
    assert plugin.create(LOCAL, {"create": "echo done", "stdin": "x" * 1_000_000})["stdout"] == "done"


def test_update_runs_the_update_command_with_the_last_output_in_its_environment(plugin):
    news = {
        "create": "echo first; echo worry >&2",
        "update": 'echo "after $PULUMI_COMMAND_STDOUT and $PULUMI_COMMAND_STDERR"',
    }
    state = plugin.create(LOCAL, news)
    assert plugin.update(LOCAL, state, news)["stdout"] == "after first and worry"


def test_update_runs_create_again_where_there_is_no_update_command(plugin, tmp_path):
    news = {"create": "echo once >> ran", "dir": str(tmp_path)}
    state = plugin.create(LOCAL, news)
    plugin.update(LOCAL, state, news | {"environment": {"A": "b"}})
    assert (tmp_path / "ran").read_text() == "once\nonce\n"


def test_an_update_with_neither_command_keeps_the_output(plugin):
    state = plugin.create(LOCAL, {"create": "echo kept"})
    assert plugin.update(LOCAL, state, {"delete": "true"})["stdout"] == "kept"


def test_the_last_output_is_withheld_on_request(plugin):
    news = {"create": 'echo "[$PULUMI_COMMAND_STDOUT]"', "addPreviousOutputInEnv": False}
    state = plugin.create(LOCAL, news)
    assert plugin.update(LOCAL, state, news)["stdout"] == "[]"


def test_delete_runs_its_command_with_the_last_output(plugin, tmp_path):
    delete = f'echo "$PULUMI_COMMAND_STDOUT" > {tmp_path}/deleted'
    plugin.delete(LOCAL, plugin.create(LOCAL, {"create": "echo last", "delete": delete}))
    assert (tmp_path / "deleted").read_text() == "last\n"


def test_delete_without_a_command_runs_nothing(plugin, tmp_path):
    plugin.delete(LOCAL, plugin.create(LOCAL, {"create": f"echo created >> {tmp_path}/ran"}))
    assert (tmp_path / "ran").read_text() == "created\n"


def test_a_failure_tells_status_whole_command_and_all_output(plugin):
    with pytest.raises(CommandFailedError) as failure:
        plugin.create(LOCAL, {"create": 'echo "one"; echo two >&2; exit 3'})
    first, rest = str(failure.value).split(":\n")
    assert first == 'exit status 3: running "echo \\"one\\"; echo two >&2; exit 3"'
    assert sorted(rest.split()) == ["one", "two"]


def test_a_failure_with_a_lot_of_output_arrives_whole(plugin):
    with pytest.raises(CommandFailedError) as failure:
        plugin.create(LOCAL, {"create": "seq 20000; exit 1", "logging": "none"})
    assert str(failure.value).endswith("\n19999\n20000\n")


def test_a_killed_command_is_named_by_its_signal(plugin):
    with pytest.raises(CommandFailedError, match=r"^signal: killed: running"):
        plugin.create(LOCAL, {"create": "kill -9 $$"})


def test_a_missing_folder_is_named(plugin):
    with pytest.raises(
        CommandFailedError, match=r'^chdir /no/where: no such file or directory: running "true"'
    ):
        plugin.create(LOCAL, {"create": "true", "dir": "/no/where"})


def test_a_missing_interpreter_is_named(plugin):
    with pytest.raises(CommandFailedError, match=r"fork/exec /no/shell: no such file or directory: running"):
        plugin.create(LOCAL, {"create": "true", "interpreter": ["/no/shell"]})


def test_a_custom_timeout_kills_the_command(plugin, tmp_path):
    started = time.monotonic()
    with pytest.raises(CommandFailedError, match=r"context deadline exceeded: running"):
        plugin.create(LOCAL, {"create": f"echo $$ > {tmp_path}/pid; exec sleep 60"}, timeout=0.5)
    assert time.monotonic() - started < 20
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        wait_until_gone(pid)


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        os.kill(pid, 0)
        time.sleep(0.02)


def test_output_that_is_not_utf8_is_refused(plugin):
    with pytest.raises(CommandFailedError, match=r"stdout is not UTF-8 .* at byte 1"):
        plugin.create(LOCAL, {"create": "printf 'a\\377'", "logging": "none"})


def test_a_secret_input_stays_secret_and_does_not_make_the_output_so(plugin):
    outputs = plugin.create(LOCAL, {"create": "cat", "stdin": Secret("hush")})
    assert outputs["stdin"] == Secret("hush")
    assert outputs["stdout"] == "hush"


@pytest.mark.parametrize(
    ("logging", "shown"),
    [
        (None, {"out", "err"}),
        ("stdoutAndStderr", {"out", "err"}),
        ("stdout", {"out"}),
        ("stderr", {"err"}),
        ("none", set()),
    ],
)
def test_logging_chooses_the_streams_that_are_shown(plugin, logging, shown):
    name = f"logging-{logging}"
    news = {"create": "echo out; echo err >&2"} | ({"logging": logging} if logging else {})
    outputs = plugin.create(LOCAL, news, name=name)
    assert set(plugin.log.lines(name)) == shown
    assert (outputs["stdout"], outputs["stderr"]) == ("out", "err")


def test_lines_are_shown_while_the_command_runs(plugin, tmp_path):
    name = "talkative"
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    request = {"create": f"echo started; read go < {gate}; echo $go"}
    with ThreadPoolExecutor() as pool:
        creating = pool.submit(plugin.create, LOCAL, request, name=name)
        deadline = time.monotonic() + 10
        while "started" not in plugin.log.lines(name):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        gate.write_text("went\n")
        assert creating.result()["stdout"] == "started\nwent"


def test_a_long_line_that_is_logged_fails_and_names_the_remedy(plugin):
    with pytest.raises(CommandFailedError, match=r"64 KiB without a newline .*`logging: none`"):
        plugin.create(LOCAL, {"create": "head -c 70000 /dev/zero | tr '\\0' x"})


def test_a_long_line_is_fine_when_it_is_not_logged(plugin):
    outputs = plugin.create(LOCAL, {"create": "head -c 70000 /dev/zero | tr '\\0' x", "logging": "none"})
    assert len(outputs["stdout"]) == 70000


def test_long_output_in_lines_is_fine(plugin):
    outputs = plugin.create(LOCAL, {"create": "seq -f %0200g 600"})  # 120 kB
    assert outputs["stdout"].endswith("\n" + "600".zfill(200))
