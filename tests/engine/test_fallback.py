"""A machine that is not what was advertised, or an offer that is gone: the next one, in the same `up`."""

import re
from pathlib import Path

import pytest
from engine_runs import Cloud, MakeStack

from components.cost.purchase import Purchase
from components.spec.load import load
from components.stacks.asked import asked_by
from components.vast.client import Api
from components.vast.offers import query, rank
from toolchain.bootstrap import ROOT

SAYS = {
    "wrong_gpu": "advertised RTX .*, shows NVIDIA .*",
    "low_vram": r"advertised \d+ MiB of VRAM, shows \d+",
    "old_driver": r"advertised driver [\d.]+, shows [\d.]+",
    "dead_ssh": ".* does not answer SSH.*",
    "stuck_loading": "still loading after 0.25 minutes",
}
"""What is said of a machine with each fault."""


@pytest.fixture
def by_price(cloud: Cloud) -> list[int]:
    """The machines that fit the job, in the order in which `up` tries them."""
    asked = asked_by(load(Path(ROOT / "configs/machine.yaml")), lambda _: "")
    found = Api(cloud.url, cloud.api_key).search(query(asked.node))
    ranking = rank(found, asked.node, Purchase(work=asked.work))
    return list(dict.fromkeys(choice.offer.machine_id for choice in ranking.choices))


def test_one_up_gives_back_every_bad_machine_and_ends_with_a_good_one(
    by_price: list[int], make_stack: MakeStack, cloud: Cloud
) -> None:
    bad = dict(zip(SAYS, by_price, strict=False))
    good = by_price[len(SAYS)]
    for fault, machine in bad.items():
        cloud.ask("POST", f"machines/{machine}/fault", fault=fault)
    limits = {"boot": "15s", "ssh": "2s", "attempts": len(SAYS) + 1}
    overrides = {f"override__node__limits__{name}": each for name, each in limits.items()}
    stack = make_stack("picky", override__budget__slack=2, **overrides)
    output = stack.up()

    rented = re.findall(r"^ +node: renting offer .*\(machine (\d+)\)$", output, re.MULTILINE)
    assert [int(machine) for machine in rented] == [*bad.values(), good]
    for fault, machine in bad.items():
        end = "destroying it and taking the next best offer"
        assert re.search(rf"instance \d+ on machine {machine}: {SAYS[fault]}; {end}", output), fault
    assert "Traceback" not in output
    assert cloud.billing("picky/") == [stack.outputs()["instance"]]

    for machine in bad.values():
        cloud.ask("POST", f"machines/{machine}/fault", fault=None)
    replaced = stack.up("--replace", stack.resource("vast:Instance")["urn"])
    assert f"(machine {good})" in replaced, "the others are healthy again, but remembered"


def test_an_offer_that_is_taken_meanwhile_costs_nothing(make_stack: MakeStack, cloud: Cloud) -> None:
    stack = make_stack("taken", override__budget__slack=2)
    gone = {"success": False, "error": "invalid_args", "msg": "error 404/3603: no_such_ask", "ask_id": 1}
    cloud.ask("POST", "fault", effect="respond", method="PUT", path="asks", status=404, body=gone)
    output = stack.up()

    assert re.search(r"offer \d+ was taken in the meantime; next", output)
    assert len(cloud.contracts("taken/")) == 1
