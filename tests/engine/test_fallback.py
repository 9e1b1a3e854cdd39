"""A machine that is not what was advertised, or an offer that is gone: the next one, in the same `up`."""

import re

import pytest
from engine_runs import Cloud, MakeStack


def cheapest(cloud: Cloud, make_stack: MakeStack, name: str) -> dict[str, int]:
    """Offer and machine that an `up` would rent first."""
    stack = make_stack(name)
    output = stack.up()
    stack.destroy()
    found = re.search(r"renting offer (\d+): .*\(machine (\d+)\)", output)
    assert found
    return {"offer": int(found[1]), "machine": int(found[2])}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("wrong_gpu", "advertised .*, shows .*"),
        ("low_vram", "advertised .* MiB of VRAM, shows .*"),
        ("dead_ssh", ".* does not answer SSH"),
        ("stuck_loading", "still .* after 0.2 minutes"),
    ],
)
def test_a_bad_machine_is_given_back_and_remembered(
    fault: str, says: str, make_stack: MakeStack, cloud: Cloud
) -> None:
    machine = cheapest(cloud, make_stack, f"find-{fault.replace('_', '-')}")["machine"]
    cloud.ask("POST", f"machines/{machine}/fault", fault=fault)
    name = f"bad-{fault.replace('_', '-')}"
    stack = make_stack(name, override__node__limits__boot="12s", override__node__limits__ssh="4s")
    output = stack.up()
    cloud.ask("POST", f"machines/{machine}/fault", fault=None)

    assert re.search(rf"on machine {machine}: {says}.*; destroying it and taking the next best offer", output)
    assert "is verified" in output
    assert cloud.billing(f"{name}/") == [stack.outputs()["instance"]]
    assert len(cloud.contracts(f"{name}/")) >= 2
    stack.destroy()
    assert f"(machine {machine})" not in stack.up()
    stack.destroy()


def test_an_offer_that_is_taken_meanwhile_costs_nothing(make_stack: MakeStack, cloud: Cloud) -> None:
    stack = make_stack("taken")
    gone = {"success": False, "error": "invalid_args", "msg": "error 404/3603: no_such_ask", "ask_id": 1}
    cloud.ask(
        "POST", "fault", effect="respond", method="PUT", path=".*asks.*", status=404, body=gone, count=2
    )
    output = stack.up()

    assert output.count("was taken in the meantime; next") >= 2
    assert len(cloud.contracts("taken/")) == 1
    stack.destroy()
