"""What runs, what it costs, and what bills for nothing: the account's view, on a simulator."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from exported import deployment, stack, surveyed
from typer.testing import CliRunner

from cli import reap as reaping
from cli import status as statuses
from cli.app import app
from cli.bill import begin_of, charge
from cli.fleet import Fleet, fleet
from cli.reap import reap, run
from cli.stacks import Stack, stack_of
from cli.status import View, view
from components.errors import FraguaError
from components.record import store
from components.record.model import Cost, Hashes, Machine, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rented import Cloud, Run

    Start = Callable[..., Run]


@pytest.fixture
def stranger(cloud: Cloud) -> Iterator[int]:
    """An instance that somebody else rents with the same account."""
    api = cloud.api()
    offer = min(api.search({"type": "on-demand"}), key=lambda each: each.dph_total)
    body = {"client_id": "me", "image": "nginx", "disk": 20, "label": "somebody's"}
    number = api.create(offer.id, body)
    yield number
    api.destroy([number])


def looked(cloud: Cloud, *stacks: Stack, unreadable: tuple[str, ...] = ()) -> Fleet:
    return fleet(surveyed(*stacks, unreadable=unreadable), cloud.api())


def viewed(cloud: Cloud, *stacks: Stack) -> View:
    return view(looked(cloud, *stacks), cloud.api())


def rented(run: Run) -> int:
    """Rent what `run` asks for, as an `up` that is killed at once."""
    api = run.cloud.api()
    offer = min(api.search({"type": "on-demand"}), key=lambda each: each.dph_total)
    return api.create(offer.id, run.request.body())


def reaped(cloud: Cloud, *stacks: Stack, named: tuple[int, ...] = (), **changed: Any) -> int:
    """Destroy what is found, without asking, and return the exit code."""
    wanted = {"destroy": True, "yes": True, "grace": 0.0, "as_json": False, **changed}
    return reap(lambda: looked(cloud, *stacks), cloud.api(), list(named), **wanted)


def test_a_status_takes_three_calls_and_tells_apart_what_is_not_ours(
    start: Start, cloud: Cloud, stranger: int
) -> None:
    mine = start()
    [machine] = mine.acquire()
    cloud.ask("DELETE", "calls")
    found = viewed(cloud, stack(mine, machine, hours=1))

    assert cloud.ask("GET", "calls")["total"] == 3
    [row] = found.rows
    assert (row.stack, row.name, row.instance) == ("test", "node", machine.instance.id)
    assert (row.status, row.asked) == ("running", True)
    assert row.rate == pytest.approx(machine.instance.dph_total)
    rate, count = found.others
    assert count == 1
    assert found.burn == pytest.approx(row.rate + rate)
    assert found.credit
    assert found.ends == pytest.approx(found.now + 3600 * found.credit / found.burn)
    assert not any("balance" in each for each in found.warnings)

    refused = {"success": False, "error": "auth_error", "msg": "no scope billing_read"}
    cloud.ask("POST", "fault", effect="respond", path="charges", status=403, body=refused)
    found = viewed(cloud, stack(mine, machine, hours=1e9))
    assert [row.spent for row in found.rows] == [None]
    assert any("what was spent is not known" in each for each in found.warnings)
    assert any("before stack test is expected to" in each for each in found.warnings)


def test_a_healthy_machine_is_not_to_be_named_and_one_that_is_gone_is_said_to_be(
    start: Start, cloud: Cloud
) -> None:
    mine = start()
    [machine] = mine.acquire()
    number = machine.instance.id
    known = stack(mine, machine)

    with pytest.raises(FraguaError, match=f"instance {number} is fine: `pulumi destroy -s test` ends it"):
        reaped(cloud, known, named=(number,))
    with pytest.raises(FraguaError, match="this account has no instance 7"):
        reaped(cloud, known, named=(7,))
    assert mine.billing == [number]

    cloud.api().destroy([number])
    found = viewed(cloud, known)
    assert [(row.status, row.rate) for row in found.rows] == [("gone", 0)]
    [warning] = [each for each in found.warnings if f"instance {number} is not on the account" in each]
    assert "it ended itself at a limit of its budget, or somebody destroyed it" in warning
    assert "`pulumi up --refresh -s test` rents another" in warning

    state = deployment(mine, machine)
    state["resources"][-1]["outputs"]["url"] = "https://console.vast.ai"
    assert viewed(cloud, stack_of("test", state)).rows == []


def test_where_the_credit_is_used_up_that_is_said(
    start: Start,
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VAST_URL", cloud.url)
    monkeypatch.setenv("VAST_API_KEY", cloud.api_key)
    mine = start()
    [machine] = mine.acquire()
    known = stack(mine, machine, hours=1e9)
    monkeypatch.setattr(statuses, "survey", lambda _: surveyed(known))
    cloud.ask("POST", "credit", set=0)
    try:
        statuses.run(tmp_path, as_json=False)
    finally:
        cloud.ask("POST", "credit", set=100000)
    text = " ".join(capsys.readouterr().out.split())

    assert ", used up" in text
    assert "lasts for" not in text
    assert "! the account's credit is used up: Vast.ai stops every machine and starts none" in text
    assert "Add credit on Vast.ai's billing page, then `pulumi up --refresh` goes on" in text
    assert (
        f"instance {machine.instance.id} (test): scheduling, and its disk bills, until there is credit"
        in text
    )
    assert "before stack test is expected to" not in text


def test_only_the_orphan_is_reaped(
    start: Start, cloud: Cloud, stranger: int, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy, lost = start(), start()
    [kept], orphan = healthy.acquire(), rented(lost)
    known = stack(healthy, kept)

    assert reaped(cloud, known, grace=1e9) == reaping.NOTHING
    assert reaped(cloud, known, destroy=False) == reaping.FOUND
    assert lost.billing == [orphan]
    assert reaped(cloud, known) == reaping.FOUND
    assert f"ended: {orphan}" in capsys.readouterr().out
    assert (lost.billing, healthy.billing) == ([], [kept.instance.id])
    assert stranger in {each.id for each in cloud.api().instances()}
    assert reaped(cloud, known) == reaping.NOTHING


def test_a_mistake_in_the_command_line_has_an_exit_code_of_its_own() -> None:
    mistaken = CliRunner().invoke(app, ["reap", "--destory"])

    assert "No such option" in mistaken.output
    assert mistaken.exit_code not in (reaping.NOTHING, reaping.FOUND, reaping.UNDECIDED)


def test_what_is_outbid_is_left_until_it_is_named(start: Start, cloud: Cloud) -> None:
    mine = start(bid=2.9)
    [machine] = mine.acquire()
    number = machine.instance.id
    cloud.ask("POST", f"instances/{number}/outbid")
    known = stack(mine, machine)

    assert reaped(cloud, known) == reaping.FOUND
    assert mine.billing == [number]
    assert reaped(cloud, known, named=(number,)) == reaping.FOUND
    assert mine.billing == []


def test_what_is_past_its_time_is_stopped_where_it_may_hold_checkpoints(start: Start, cloud: Cloud) -> None:
    mine = start()
    [machine] = mine.acquire()
    state = deployment(mine, machine, trains=True)
    state["resources"][2]["inputs"]["lease"] = {"max_time": 60}
    cloud.ask("POST", "clock", advance=3600)

    assert reaped(cloud, stack_of("test", state)) == reaping.FOUND
    [instance] = cloud.api().instances(id=machine.instance.id)
    assert instance.intended_status == "stopped"


def test_with_a_stack_unread_an_orphan_is_undecided_until_it_is_named(start: Start, cloud: Cloud) -> None:
    lost = start()
    number = rented(lost)
    seen = looked(cloud, unreadable=("stack infer: damaged",))
    wanted: dict[str, Any] = {"destroy": True, "yes": True, "grace": 0, "as_json": False}

    assert reap(lambda: seen, cloud.api(), [], **wanted) == reaping.UNDECIDED
    assert lost.billing == [number]
    assert reap(lambda: seen, cloud.api(), [number], **wanted) == reaping.FOUND
    assert lost.billing == []


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("n", 1), ("", 1)])
def test_a_person_is_asked(
    answer: str, left: int, start: Start, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = start()
    rented(lost)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    reaped(cloud, yes=False)

    assert len(lost.billing) == left


def test_what_an_up_took_up_meanwhile_is_left(start: Start, cloud: Cloud) -> None:
    lost = start()
    [machine] = lost.acquire()
    moments = iter([looked(cloud), looked(cloud, stack(lost, machine))])
    reap(lambda: next(moments), cloud.api(), [], destroy=True, yes=True, grace=0, as_json=False)

    assert lost.billing == [machine.instance.id]


def test_nothing_is_destroyed_where_nobody_can_be_asked(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAST_URL", cloud.url)
    monkeypatch.setenv("VAST_API_KEY", cloud.api_key)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)

    with pytest.raises(FraguaError, match="say --yes too"):
        run(tmp_path, [], destroy=True, yes=False, older_than="30m", as_json=False)
    with pytest.raises(FraguaError, match="--older-than: write a duration"):
        run(tmp_path, [], destroy=False, yes=False, older_than="30", as_json=False)


def test_a_bill_names_runs_by_their_records_and_adds_up_to_the_ledger(
    start: Start, cloud: Cloud, stranger: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, other = start(), start()
    number, _ = rented(mine), rented(other)
    record(tmp_path / "output" / "train" / "cat-1", number)
    days = begin_of("2d", time.time()), cloud.ask("POST", "clock", advance=60)["now"]
    least = cloud.ask("GET", "ledger")["total"]
    charge(tmp_path, surveyed(), cloud.api(), *days, as_json=True)
    most = cloud.ask("GET", "ledger")["total"]
    told = json.loads(capsys.readouterr().out)
    lines = {(line["stack"], line["run"]): line for line in told["lines"]}
    charge(tmp_path, surveyed(), cloud.api(), *days, as_json=False)
    table = capsys.readouterr().out

    assert lines["train", "cat-1"]["instances"] == [number]
    assert lines["train", "cat-1"]["disk"] > 0
    assert ("test", "") in lines
    assert stranger in lines[None, None]["instances"]
    assert told["total"] == pytest.approx(sum(line["total"] for line in told["lines"]), abs=1e-5)
    assert least - 1e-5 <= told["total"] <= most + 1e-5
    assert "cat-1" in table
    assert "not fragua's" in table


def record(home: Path, instance: int) -> None:
    now = "2026-11-01T00:00:00Z"
    machine = Machine.model_validate(
        {"instance": instance, "gpu": "RTX 4090", "gpus": 1, "price": 0.4, "rented": now}
    )
    hashes = Hashes(dataset="d", base_model="b", job="j")
    found = Record.model_validate(
        {"run": home.name, "job": "cat", "kind": "lora", "status": "done", "started": now, "settings": {},
         "machines": [machine], "cost": Cost(spent=0), "hashes": hashes}
    )  # fmt: skip
    store.write(found, home)


def test_since_is_a_time_that_has_passed() -> None:
    now = 1_800_000_000.0

    assert begin_of("1d", now) == (now - 86400) // 86400 * 86400
    assert begin_of("2026-11-01", now) == 1793491200.0
    for wrong in ("7", "yesterday", "-1d", "2030-01-01"):
        with pytest.raises(FraguaError, match="--since"):
            begin_of(wrong, now)
