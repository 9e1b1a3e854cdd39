"""What an edit of the job does to a rented machine: nothing, a change in place, or another machine."""

from pathlib import Path

import pytest
from engine_runs import Cloud, MakeStack, Stack

from components.vast.renewal import look


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> Stack:
    """One machine, rented by a bid."""
    stack = make_stack("changes", override__node__bid=0.6)
    stack.up()
    return stack


def test_a_second_preview_is_empty_even_after_the_market_moved(stack: Stack, cloud: Cloud) -> None:
    cloud.ask("POST", "price", multiply=0.5)
    cloud.ask("POST", "clock", advance=600)

    assert stack.steps() == {"same": 3}
    cloud.ask("POST", "price", multiply=2)


def test_what_matters_only_when_choosing_changes_nothing(stack: Stack) -> None:
    stack.configure(override__node__max_price=0.75, override__node__reliability=0.9)

    assert stack.steps() == {"same": 3}


def test_the_label_is_changed_in_place(stack: Stack, cloud: Cloud) -> None:
    before = stack.outputs()["instance"]
    for label, words in (("renamed", "renamed/node"), (None, "changes/node")):
        stack.configure(override__node__label=label)
        stack.up()

        assert stack.outputs()["instance"] == before
        assert cloud.billing(words) == [before]


def test_the_bid_is_changed_in_place(stack: Stack) -> None:
    before, price = stack.outputs()["instance"], stack.outputs()["pricePerHour"]
    stack.configure(override__node__bid=0.62)

    assert stack.steps() == {"same": 2, "update": 1}
    stack.up()
    assert stack.outputs()["instance"] == before
    assert stack.outputs()["pricePerHour"] == pytest.approx(price + 0.02, abs=1e-6)
    assert stack.steps() == {"same": 3}


def test_the_lease_is_changed_in_place(stack: Stack) -> None:
    before = look(stack.login())
    assert before is not None
    assert (before.alive, before.by) == (True, "idle")
    stack.configure(override__budget__idle="off", override__budget__max_time="9h")

    assert stack.steps() == {"same": 2, "update": 1}
    stack.up()

    now = look(stack.login())
    assert now is not None
    assert now.by == "max_time"
    assert now.left == pytest.approx(9 * 3600, abs=240)
    assert stack.steps() == {"same": 3}


def test_another_disk_rents_another_machine_after_the_first_is_destroyed(stack: Stack, cloud: Cloud) -> None:
    before = stack.outputs()["instance"]
    stack.configure(override__node__disk=44)

    assert stack.steps() == {"same": 2, "replace": 1}
    stack.up()

    now = stack.outputs()["instance"]
    contracts = {each["id"]: each for each in cloud.contracts("changes/node")}
    ended = max(part["stop"] for part in contracts[before]["segments"])
    began = min(part["start"] for part in contracts[now]["segments"])
    assert cloud.billing("changes/node") == [now]
    assert ended <= began


@pytest.mark.parametrize("option", ["--replace", "--target-replace"])
def test_a_forced_replacement_never_takes_up_the_machine_it_replaces(
    option: str, stack: Stack, cloud: Cloud
) -> None:
    before = stack.outputs()["instance"]
    stack.up(option, stack.resource("vast:Instance")["urn"])

    assert stack.outputs()["instance"] != before
    assert cloud.billing("changes/node") == [stack.outputs()["instance"]]


def test_an_edit_of_the_provider_s_code_changes_nothing(
    make_stack: MakeStack, copied_program: Path, cloud: Cloud
) -> None:
    stack = make_stack("edited", program=copied_program)
    stack.up()
    provider = copied_program / "components/vast/provider.py"
    provider.write_text(
        provider.read_text().replace('"""One verified machine."""', '"""One machine."""\n    x = 1\n')
    )

    assert stack.steps() == {"same": 3}
    stack.destroy()
    assert cloud.billing("edited/") == []
