"""Commands on another machine, over SSH."""

import pytest
from conftest import HANG_UP, REMOTE, CommandFailedError

from toolchain.command_plugin.values import UNKNOWN, Secret


def test_create_runs_on_the_machine_and_yields_both_streams(plugin, machine):
    news = {"connection": machine.connection(), "create": "pwd; echo oops >&2"}
    outputs = plugin.create(REMOTE, news)
    assert (outputs["stdout"], outputs["stderr"]) == (str(machine.root), "oops")
    assert machine.logins == {"somebody by key"}


def test_the_connection_stays_secret_and_its_defaults_are_kept(plugin, machine):
    outputs = plugin.create(REMOTE, {"connection": machine.connection(), "create": "true"})
    assert isinstance(outputs["connection"], Secret)
    assert isinstance(outputs["connection"].value["privateKey"], Secret)
    assert outputs["connection"].value["perDialTimeout"] == 15


def test_a_preview_dials_nothing_and_knows_no_output(plugin, machine):
    outputs = plugin.create(REMOTE, {"connection": UNKNOWN, "create": "true"}, preview=True)
    assert outputs["stdout"] is UNKNOWN
    assert outputs["connection"] == Secret(UNKNOWN)
    news = {"connection": machine.connection(), "create": "true"}
    assert plugin.update(REMOTE, plugin.create(REMOTE, news), news, preview=True)["stdout"] is UNKNOWN
    assert machine.dials == 1


def test_stdin_and_environment_reach_the_command(plugin, machine):
    news = {
        "connection": machine.connection(),
        "create": 'echo "$COLOUR $(cat)"',
        "environment": {"COLOUR": "blue"},
        "stdin": "hello",
    }
    assert plugin.create(REMOTE, news)["stdout"] == "blue hello"


def test_a_command_without_stdin_reads_its_end_at_once(plugin, machine):
    assert (
        plugin.create(REMOTE, {"connection": machine.connection(), "create": "cat; echo end"})["stdout"]
        == "end"
    )


def test_update_runs_the_update_command_with_the_last_output_in_its_environment(plugin, machine):
    news = {
        "connection": machine.connection(),
        "create": "echo first; echo worry >&2",
        "update": 'echo "after $PULUMI_COMMAND_STDOUT and $PULUMI_COMMAND_STDERR"',
    }
    state = plugin.create(REMOTE, news)
    assert plugin.update(REMOTE, state, news)["stdout"] == "after first and worry"


def test_update_runs_create_again_where_there_is_no_update_command(plugin, machine):
    news = {"connection": machine.connection(), "create": "echo created >> ran"}
    plugin.update(REMOTE, plugin.create(REMOTE, news), news | {"stdin": "new"})
    assert machine.ran("created") == 2


def test_the_last_output_is_withheld_on_request(plugin, machine):
    news = {
        "connection": machine.connection(),
        "create": 'echo "[$PULUMI_COMMAND_STDOUT]"',
        "addPreviousOutputInEnv": False,
    }
    assert plugin.update(REMOTE, plugin.create(REMOTE, news), news)["stdout"] == "[]"


def test_delete_runs_its_command(plugin, machine):
    news = {"connection": machine.connection(), "delete": "echo deleted >> ran"}
    plugin.delete(REMOTE, plugin.create(REMOTE, news))
    assert machine.ran("deleted") == 1


def test_without_create_and_delete_nothing_is_dialled(plugin, machine):
    news = {"connection": machine.connection(), "update": "echo updated >> ran"}
    plugin.delete(REMOTE, plugin.create(REMOTE, news))
    assert machine.dials == 0


def test_a_failure_tells_status_whole_command_and_all_output(plugin, machine):
    with pytest.raises(CommandFailedError) as failure:
        plugin.create(
            REMOTE, {"connection": machine.connection(), "create": "echo one; echo two >&2; exit 3"}
        )
    first, rest = str(failure.value).split(":\n")
    assert first == 'Process exited with status 3: running "echo one; echo two >&2; exit 3"'
    assert sorted(rest.split()) == ["one", "two"]


def test_a_killed_command_is_named_by_its_signal(plugin, machine):
    with pytest.raises(
        CommandFailedError, match=r"^Process exited with status 137 from signal KILL: running"
    ):
        plugin.create(REMOTE, {"connection": machine.connection(), "create": "kill -9 $$"})


def test_a_connection_that_breaks_leaves_no_exit_status(plugin, machine):
    with pytest.raises(
        CommandFailedError, match=r"^wait: remote command exited without exit status or exit signal: running"
    ):
        plugin.create(REMOTE, {"connection": machine.connection(), "create": HANG_UP})


def test_logging_chooses_the_streams_that_are_shown(plugin, machine):
    news = {"connection": machine.connection(), "create": "echo out; echo err >&2"}
    plugin.create(REMOTE, news, name="remote-both")
    plugin.create(REMOTE, news | {"logging": "stderr"}, name="remote-stderr")
    plugin.create(REMOTE, news | {"logging": "none"}, name="remote-none")
    assert set(plugin.log.lines("remote-both")) == {"out", "err"}
    assert plugin.log.lines("remote-stderr") == ["err"]
    assert plugin.log.lines("remote-none") == []


def test_a_long_line_that_is_logged_fails_and_names_the_remedy(plugin, machine):
    news = {"connection": machine.connection(), "create": "head -c 70000 /dev/zero | tr '\\0' x"}
    with pytest.raises(CommandFailedError, match=r"64 KiB without a newline .*`logging: none`"):
        plugin.create(REMOTE, news)
    assert len(plugin.create(REMOTE, news | {"logging": "none"})["stdout"]) == 70000


def test_a_custom_timeout_does_not_stop_a_command_that_runs(plugin, machine):
    news = {"connection": machine.connection(), "create": "sleep 1; echo done"}
    assert plugin.create(REMOTE, news, timeout=0.5)["stdout"] == "done"


def test_output_of_some_megabytes_comes_whole(plugin, machine):
    news = {"connection": machine.connection(), "create": "seq 600000", "logging": "none"}
    assert plugin.create(REMOTE, news)["stdout"].endswith("\n599999\n600000")
