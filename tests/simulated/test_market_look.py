"""The market as a preview sees it: one call, none within five minutes, and never a failure."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rented import Cloud

from components.spec.node import Node
from components.vast import market
from components.vast.machines import BadMachines

NODE = Node.model_validate({"gpu": {"models": ["RTX 4090"]}, "image": "ubuntu", "disk": 40, "max_price": 1})
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def here(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setenv("VAST_URL", cloud.url)
    monkeypatch.setenv("VAST_API_KEY", cloud.api_key)
    yield cloud
    cloud.ask("DELETE", "fault")


def look(newer_than: float = 0) -> market.Market:
    return market.look(NODE, lambda _: None, newer_than)


def searches(cloud: Cloud) -> int:
    return int(cloud.ask("GET", "calls")["counts"].get("POST /api/v0/bundles", 0))


def test_it_is_asked_once_in_five_minutes(here: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    before = searches(here)
    first, second = look(), look()
    assert first.source == second.source == "market"
    assert first.offers == second.offers != ()
    assert first.when == second.when
    assert searches(here) == before + 1

    look(newer_than=first.when + 0.001)
    assert searches(here) == before + 2

    monkeypatch.setattr(market, "_FRESH", 0)
    look()
    assert searches(here) == before + 3


def test_each_node_and_each_market_is_asked_for_itself(here: Cloud) -> None:
    before = searches(here)
    look()
    market.look(NODE.model_copy(update={"disk": 50}), lambda _: None)

    assert searches(here) == before + 2
    assert market.look(NODE, {"vast:baseUrl": NOWHERE}.get).source == "preset"


@pytest.mark.parametrize(
    "fault",
    [
        {"effect": "respond", "status": 500},
        {"effect": "respond", "status": 429},
        {"effect": "respond", "status": 401},
        {"effect": "respond", "status": 200, "body": {"offers": [{"id": "x"}]}},
        {"effect": "drop_before"},
        {"effect": "drop_after"},
        {"effect": "malformed"},
    ],
    ids=str,
)
def test_what_was_known_last_is_told_when_there_is_no_good_answer(
    fault: dict[str, object], here: Cloud
) -> None:
    known = look()
    here.ask("POST", "fault", path="bundles", count=1, **fault)
    found = look(newer_than=known.when + 1)

    assert (found.source, found.offers, found.when) == ("last known", known.offers, known.when)
    assert found.problem
    assert look(newer_than=known.when + 1).source == "market"


def test_what_was_known_last_is_told_without_a_key(here: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    known = look()
    monkeypatch.delenv("VAST_API_KEY")
    found = look(newer_than=known.when + 1)

    assert (found.source, found.offers) == ("last known", known.offers)
    assert found.problem.startswith("no Vast.ai API key")


def test_without_key_or_network_there_is_nothing_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAST_API_KEY", raising=False)
    assert look().source == "preset"
    monkeypatch.setenv("VAST_API_KEY", "k")
    monkeypatch.setenv("VAST_URL", NOWHERE)
    found = look()

    assert (found.source, found.offers) == ("preset", ())
    assert NOWHERE in found.problem
    assert "effect" not in found.problem


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"when": 1}', '{"when": 4e9, "offers": [{"id": 1}]}'])
def test_what_is_damaged_is_asked_anew(damage: str, here: Cloud, tmp_path: Path) -> None:
    first = look()
    [file] = (tmp_path / "memory" / "market").iterdir()
    file.write_text(damage, encoding="utf-8")

    assert look().offers == first.offers


def test_where_nothing_can_be_kept_it_is_asked_each_time(here: Cloud, tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "market").write_text("in the way", encoding="utf-8")
    before = searches(here)
    look()

    assert look().source == "market"
    assert searches(here) == before + 2


def test_machines_that_failed_here_are_told(here: Cloud) -> None:
    BadMachines(here.url).add(77, "test")

    assert look().bad_machines == {77}


def balances(cloud: Cloud) -> int:
    return int(cloud.ask("GET", "calls")["counts"].get("GET /api/v0/users/current", 0))


def test_the_balance_is_asked_for_with_it(here: Cloud) -> None:
    before = balances(here)
    first, second = look(), look()

    assert first.credit == second.credit == pytest.approx(here.api().user().credit, abs=1)
    assert balances(here) == before + 2  # one of them is the test's own


@pytest.mark.parametrize(
    "fault",
    [
        {"effect": "respond", "status": 403, "body": {"success": False, "error": "auth_error", "msg": "no"}},
        {"effect": "respond", "status": 500},
        {"effect": "drop_before"},
        {"effect": "malformed"},
    ],
    ids=str,
)
def test_a_balance_that_nobody_tells_is_no_failure(fault: dict[str, object], here: Cloud) -> None:
    here.ask("POST", "fault", path="users", count=1, **fault)
    found = look()

    assert (found.source, found.credit, found.problem) == ("market", None, "")
    assert found.offers
    assert look().credit is None
