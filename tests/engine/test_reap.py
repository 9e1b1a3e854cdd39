"""A machine whose state was thrown away is found by its label and ended; a healthy stack is left alone."""

import json
from collections.abc import Callable

import pytest
from engine_runs import Cloud, MakeStack, Stack

from cli import reap, status
from cli.stacks import account, survey
from components.errors import FraguaError


def test_an_orphan_is_reaped_and_a_healthy_stack_is_not(
    make_stack: MakeStack,
    cloud: Cloud,
    until: Callable[[Callable[[], object]], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = make_stack("kept")
    lost = Stack("lost", kept.folder, kept.environment)
    lost.pulumi("stack", "init", "lost")
    lost.pulumi("config", "set", "job", "configs/machine.yaml", "--stack", "lost")
    for name, value in kept.environment.items():
        monkeypatch.setenv(name, value)

    cloud.ask("POST", "fault", effect="delay", seconds=4, method="GET", path="instances")
    running = [kept.start("up", "--yes", "--skip-preview", "--stack", name) for name in ("kept", "lost")]
    until(lambda: [each for each in survey(kept.folder).stacks if each.state.renting])
    cloud.ask("DELETE", "fault")
    for process in running:
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
    [orphan], [healthy] = cloud.billing("lost/"), cloud.billing("kept/")
    cloud.ask("POST", "clock", advance=2000)

    assert run(kept, capsys) == (0, [], [])
    status.run(kept.folder, as_json=True)
    rows = {row["instance"]: row for row in json.loads(capsys.readouterr().out)["machines"]}
    assert {number: row["stack"] for number, row in rows.items()} == {orphan: "lost", healthy: "kept"}
    assert all(row["reached"] and row["spent"] > 0 for row in rows.values())

    settings = (kept.folder / "Pulumi.lost.yaml").read_text()
    lost.pulumi("stack", "rm", "--yes", "--force", "lost")
    (kept.folder / "Pulumi.lost.yaml").write_text(settings)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")  # which no reaper needs
    assert run(kept, capsys) == (1, [], [orphan])  # its stack may be in another backend
    (kept.folder / "Pulumi.lost.yaml").unlink()

    code, [found], _ = run(kept, capsys, destroy=True)
    assert (code, found["instance"], found["kind"], found["ended"]) == (3, orphan, "orphan", True)
    assert (cloud.billing("lost/"), cloud.billing("kept/")) == ([], [healthy])

    elsewhere = kept.folder / "elsewhere"
    monkeypatch.setenv("PULUMI_BACKEND_URL", elsewhere.as_uri())
    assert survey(kept.folder).unreadable[0].startswith("the backend: unable to open")
    elsewhere.mkdir()
    assert "has no stack" in survey(kept.folder).unreadable[0]
    torn = elsewhere / ".pulumi" / "stacks" / "fragua" / "torn.json"
    torn.parent.mkdir(parents=True, exist_ok=True)
    torn.write_text('{"version": 3, ', encoding="utf-8")
    backend, named = survey(kept.folder).unreadable
    assert backend.startswith("the backend: ")
    assert named.startswith(f"stack torn: {torn} is no state: ")


def test_the_key_is_that_of_the_settings_where_the_environment_has_none(
    make_stack: MakeStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = make_stack("keyed")
    stack.pulumi("config", "set", "--secret", "vast:apiKey", cloud.api_key)
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("VAST_API_KEY")

    assert account(stack.folder).user().credit > 0
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
    with pytest.raises(FraguaError, match=r"Pulumi.keyed.yaml: vast:apiKey cannot be read: .*passphrase"):
        account(stack.folder)


def run(
    stack: Stack, capsys: pytest.CaptureFixture[str], *, destroy: bool = False
) -> tuple[int, list[dict[str, object]], list[int]]:
    """Reap what is older than 30 minutes; return the exit code, what was found and what is undecided."""
    code = reap.run(stack.folder, [], destroy=destroy, yes=True, older_than="30m", as_json=True)
    told = json.loads(capsys.readouterr().out)
    return code, told["found"], told["undecided"]
