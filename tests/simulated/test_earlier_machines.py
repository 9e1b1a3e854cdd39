"""`max_total` counts what a resource's earlier machines cost, by Vast.ai's charges or what is known here."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from planned import Stack, asked
from rented import Cloud, request

from components.cost.purchase import Purchase
from components.cost.work import Work
from components.errors import NotApproved, Unreachable
from components.remote.shell import Login
from components.vast import account as account_room
from components.vast import keys, renewal
from components.vast.account import Account
from components.vast.lease import LeaseStatus
from components.vast.release import owned

Props = dict[str, Any]
UP = Work(kind="up", hours=1, disk=20)


@pytest.fixture
def account(cloud: Cloud) -> Account:
    return Account({"vast:baseUrl": cloud.url, "vast:apiKey": cloud.api_key}.get)


@pytest.fixture
def resource(cloud: Cloud, account: Account) -> Iterator[Callable[..., Props]]:
    """A machine's resource with a ceiling; whatever it has rented is destroyed."""
    own = request()

    def props(most: float | None = 5.0, work: Work = UP) -> Props:
        purchase = Purchase(work=work, max_total=most)
        return {
            "stack": "test",
            "name": "node",
            "node": own.node.model_dump(mode="json", exclude_defaults=True),
            "public_key": own.public_key,
            "private_key": own.private_key.get_secret_value(),
            "purchase": purchase.model_dump(mode="json", exclude_defaults=True),
            "lease": {"max_total": most or 0, "lease": 0, "idle": 0},
        }

    keys.register(cloud.api(), own.public_key)
    yield props
    cloud.ask("DELETE", "fault")
    account.release([], props())


def rent(account: Account, props: Props) -> Props:
    [machine] = account.acquire(props)
    return {**props, **machine}


def lost(cloud: Cloud, account: Account, machine: Props) -> None:
    """Let the machine end itself, and a refresh see it."""
    cloud.api().destroy([machine["instance_id"]])
    assert account.read(machine["instance_id"], machine) is None


def bill(cloud: Cloud, machine: Props) -> float:
    rows = cloud.api().charges(0, time.time() + 1e9)
    return float(sum(row.amount for row in rows if row.instance == machine["instance_id"]))


def lease(machine: Props) -> LeaseStatus:
    found = renewal.look(Login.of(machine), patience=30)
    assert found is not None
    return found


def calls(cloud: Cloud) -> int:
    return int(cloud.ask("GET", "calls")["counts"].get("GET /api/v0/charges", 0))


def unread(cloud: Cloud, **answer: Any) -> None:
    """Let no charges be read: they are late, unless another answer is given."""
    answer = answer or {"status": 200, "body": {"results": []}}
    cloud.ask("POST", "fault", effect="respond", method="GET", path="charges", count=None, **answer)


def test_the_next_machine_has_what_the_earlier_left(
    cloud: Cloud, account: Account, resource: Callable[..., Props], capsys: pytest.CaptureFixture[str]
) -> None:
    first = rent(account, resource())
    assert lease(first).used - lease(first).spent < 0.05
    lost(cloud, account, first)
    spent, asked = bill(cloud, first), calls(cloud)
    assert spent > 0
    second = rent(account, resource())

    assert calls(cloud) == asked + 1
    found = lease(second)
    assert found.used - found.spent == pytest.approx(spent, abs=0.05)
    assert f"{spent:.2f} $ were spent by instance {first['instance_id']}" in capsys.readouterr().out


def test_nothing_is_rented_where_nothing_is_left_and_a_higher_ceiling_goes_on(
    cloud: Cloud, account: Account, resource: Callable[..., Props]
) -> None:
    first = rent(account, resource())
    lost(cloud, account, first)
    spent, number = bill(cloud, first), first["instance_id"]
    says = rf"nothing is left of .* spent by instance {number} \({spent:.2f} \$\)\. Raise it .*pulumi destroy"
    with pytest.raises(NotApproved, match=says):
        rent(account, resource(spent * 0.9))
    assert owned(cloud.api(), first["label"].rpartition(":")[0]) == []

    rent(account, resource(spent + 5))


def test_a_raised_ceiling_tells_how_to_go_on_where_the_machine_has_ended_itself(
    account: Account, resource: Callable[..., Props], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_room, "PATIENCE", 0)
    gone = {**resource(), "instance_id": 7.0, "host": "127.0.0.1", "port": 1, "host_key": ""}
    with pytest.raises(Unreachable, match=r"instance 7 could not be told .* `pulumi up --refresh` goes on"):
        account.renew(gone, resource(9))


def test_what_is_left_has_to_be_enough_to_begin_with(
    cloud: Cloud, account: Account, resource: Callable[..., Props]
) -> None:
    first = rent(account, resource()) | {"rented": time.time() - 7200, "price": 1.0}
    unread(cloud)
    lost(cloud, account, first)
    heavy = UP.model_copy(update={"setup": 3600})
    says = r"left of budget.max_total, 2.05 \$ less the 2.00 \$ that .*\. Raise budget.max_total"
    with pytest.raises(NotApproved, match=says):
        rent(account, resource(2.05, heavy))


def test_each_of_three_machines_counts_and_a_stack_made_anew_begins_at_nothing(
    cloud: Cloud, account: Account, resource: Callable[..., Props]
) -> None:
    spent = 0.0
    for _ in range(2):
        machine = rent(account, resource(100))
        account.release([machine["instance_id"]], machine)
        spent += bill(cloud, machine)
    third = lease(rent(account, resource(100)))
    assert third.used - third.spent == pytest.approx(spent, abs=0.1)

    anew = request()
    keys.register(cloud.api(), anew.public_key)
    other = {
        **resource(100),
        "public_key": anew.public_key,
        "private_key": anew.private_key.get_secret_value(),
    }
    fresh = rent(account, other)
    found = lease(fresh)
    account.release([], other)
    assert found.used - found.spent < 0.05


def test_of_a_gang_only_the_machines_that_are_gone_count(
    cloud: Cloud, account: Account, resource: Callable[..., Props]
) -> None:
    first, second = account.acquire({**resource(100), "count": 2})
    cloud.ask("POST", "clock", advance=36000)
    cloud.api().destroy([first["instance_id"]])
    spent = bill(cloud, first)
    kept, third = account.acquire({**resource(100), "count": 2}, {second["instance_id"]: second["host_key"]})

    assert kept["instance_id"] == second["instance_id"]
    found = lease({**resource(), **third})
    assert found.used - found.spent == pytest.approx(spent, abs=0.05)


@pytest.mark.parametrize("refused", [True, False], ids=["not readable", "late"])
def test_without_charges_what_this_computer_saw_end_counts_at_its_price(
    refused: bool,
    cloud: Cloud,
    account: Account,
    resource: Callable[..., Props],
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = rent(account, resource()) | {"rented": time.time() - 7200, "price": 1.0}
    lost(cloud, account, first)
    body = {"success": False, "error": "auth_error", "msg": "billing_read is missing"}
    unread(cloud, **({"status": 403, "body": body} if refused else {}))
    with pytest.raises(NotApproved, match=rf"spent by instance {first['instance_id']} \(2.00 \$\)"):
        rent(account, resource(2.0))
    found = lease(rent(account, resource(3.0)))

    assert found.used - found.spent == pytest.approx(2, abs=0.05)
    assert bool(re.search(r"may not read charges \(billing_read\)", capsys.readouterr().out)) is refused


def test_without_a_ceiling_nobody_is_asked_what_earlier_machines_cost(
    cloud: Cloud, account: Account, resource: Callable[..., Props]
) -> None:
    before = calls(cloud)
    rent(account, resource(None))

    assert calls(cloud) == before


def test_a_preview_that_would_rent_another_says_it_and_one_that_would_not_asks_nobody(
    cloud: Cloud, account: Account, resource: Callable[..., Props], stack: Stack
) -> None:
    first = rent(account, resource())
    outputs = stack.preview(asked()).outputs
    lost(cloud, account, first)
    stack.state.knows(first["public_key"])
    spent, before = bill(cloud, first), calls(cloud)
    stack.preview(asked(budget={"max_total": 50, "hours": 2}))
    assert calls(cloud) == before + 1
    assert f"{spent:.2f} $ were spent by instance {first['instance_id']}" in stack.said
    assert "of the 50.00 $ of budget.max_total" in stack.said

    held = asked(budget={"max_total": spent * 0.9, "hours": 0.01})
    with pytest.raises(NotApproved, match=r"job.yaml:3: budget.max_total: nothing is left of .*instance"):
        stack.preview(held)

    unread(cloud, status=500, body="")
    stack.preview(held)
    assert "budget.max_total counts only those that this computer saw end" in stack.said

    stack.state.holds(asked(), outputs)
    stack.state.knows(first["public_key"])
    before = calls(cloud)
    stack.preview(asked(budget={"max_total": 50}))
    assert calls(cloud) == before


@pytest.mark.parametrize("preview", [True, False], ids=["preview", "up"])
def test_a_machine_that_would_be_replaced_counts_up_to_now_before_it_is_destroyed(
    preview: bool, cloud: Cloud, stack: Stack
) -> None:
    own, lasted = request(), time.time() - 7200
    stack.state.holds(asked(), {}, rented=lasted, price=1.0)
    stack.state.knows(own.public_key)
    unread(cloud)
    larger = asked(disk=30, budget={"max_total": 2, "hours": 0.5})
    with pytest.raises(NotApproved, match=r"nothing is left of 2.00 \$ .* spent by instance 7 \(2.00 \$\)"):
        stack.preview(larger) if preview else stack.up(larger)

    stack.state.holds(asked(), {}, rented=lasted)
    stack.state.knows(own.public_key)
    stack.preview(larger) if preview else stack.up(larger)
    cloud.ask("DELETE", "fault")
