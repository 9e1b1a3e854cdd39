"""What runs teach: their speeds in the table's terms, and how long interruptible machines lived."""

from __future__ import annotations

from datetime import timedelta

import pytest
from records import START
from runs import MARKET, SETTINGS, machine, part, run

from components.cost.speeds import listed, pace
from components.cost.terms import Terms
from components.cost.work import Work
from components.record.calibration import learned, measured, work_of
from components.record.model import Record


def test_a_step_is_so_many_images_of_the_tables_kind() -> None:
    (found,) = measured([run(part(4.0))])

    assert (found.gpu, found.kind) == ("RTX 4090", "lora")
    assert found.seconds == found.usual == 0.5
    assert found.table.seconds == pytest.approx(listed()["RTX 4090"].seconds, rel=0.05)


def test_what_was_learned_foretells_the_same_run_and_others() -> None:
    settings = {
        **SETTINGS,
        "training": SETTINGS["training"]
        | {"batch_size": 1, "gradient_checkpointing": False, "resolution": 768},
    }
    runs = [run(part(1.6), settings=settings)] * 1000
    own = learned(runs, MARKET)

    same = work_of(settings, "lora", 100)
    usual = Work(kind="lora", images=1, batch=4, disk=60)
    terms = Terms(gpu="RTX 4090", price=0.5)
    assert same.images == 200
    assert pace(terms, same, own).seconds == pytest.approx(0.8, rel=0.01)
    assert pace(terms, usual, own).seconds > 0.8


def test_gpus_together_are_told_apart_from_one() -> None:
    settings = {**SETTINGS, "node": {"gpu": {"models": ["RTX 4090"], "count": 2}, "disk": 60}}
    (found,) = measured([run(part(4.0), settings=settings)])

    assert found.seconds == pytest.approx(4.0 / 16 * 2 * 0.92)


def test_parts_weigh_by_their_steps_and_runs_alike() -> None:
    two = run(part(4.0, steps=100), part(8.0, steps=300))
    (found,) = measured([two])
    own = learned([two, run(part(14.0))], MARKET)

    assert found.seconds == pytest.approx(7.0 / 8)
    assert own.speeds["RTX 4090/lora"].runs == 2
    assert own.speeds["RTX 4090/lora"].seconds == pytest.approx((7 / 8 * 14 / 8) ** 0.5)


@pytest.mark.parametrize(
    "unclear",
    [
        run(part(4.0, steps=10)),
        run(part(None)),
        run(),
        run(part(4.0), settings={"name": "of an older fragua"}),
        run(part(4.0), machines=(machine(market=None),)),
        run(part(4.0, instance=7)),
    ],
)
def test_what_tells_nothing_is_left_out(unclear: Record) -> None:
    assert list(measured([unclear])) == []
    assert learned([unclear], MARKET).speeds == {}


def test_each_market_teaches_for_itself() -> None:
    rehearsal = run(part(0.01), machines=(machine(market="http://127.0.0.1:8000"),))
    own = learned([rehearsal, run(part(4.0))], MARKET)

    assert own.speeds["RTX 4090/lora"].runs == 1
    assert own.speeds["RTX 4090/lora"].seconds == pytest.approx(0.5)


def test_hours_and_losses_of_interruptible_machines() -> None:
    lost = machine(1, interruptible=True, released=START + timedelta(hours=3), why="no answer")
    last = machine(2, interruptible=True, rented=START + timedelta(hours=4))
    bought = machine(3, released=START + timedelta(hours=50), why="no answer")
    ended = run(machines=(lost, last, bought), ended=START + timedelta(hours=6))
    running = run(machines=(machine(4, interruptible=True),), ended=None)
    own = learned([ended, running], MARKET)

    assert own.bid_hours == pytest.approx(5)
    assert own.outbid == 1
