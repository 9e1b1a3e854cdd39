"""A quote in words, as a person reads it in a terminal and in a pull request."""

from components.cost.quote import Option, Quote
from components.cost.render import markdown, text

QUOTE = Quote(
    digest="c90b67e33bb3",
    when=1795736661,
    source="market",
    machines=2,
    options=(
        Option(
            gpu="RTX 4090",
            interruptible=True,
            price=0.291,
            hours=3.24,
            total=1.124,
            p90=1.46,
            storage=0.021,
            traffic=0.034,
        ),
        Option(gpu="RTX 3090", gpus=2, price=0.4, hours=0.5, total=1.3, p90=1.4, storage=0.2),
    ),
    slack=0.25,
    ceiling=2.81,
    ceiling_from="25% above what is shown",
    unbounded="no budget.max_total: what runs is ended by lease or idle only",
    running=0.25,
    before=3,
    warnings=("200 images: nobody has counted them",),
)


def test_in_a_terminal() -> None:
    assert text(QUOTE) == [
        "2.25 $ in about 3.2 h on 2 machines of 1x RTX 4090, interruptible, at 0.582 $/h",
        "nine of ten runs below 2.92 $; disk 0.042 $, traffic 0.068 $; prices of 2026-11-26 23:44 UTC",
        "ceiling 2.81 $, 25% above what is shown: nothing that is expected to cost more is rented",
        "no budget.max_total: what runs is ended by lease or idle only",
        "else 2 machines of 2x RTX 3090, on demand, 0.800 $/h: 2.60 $ in 0.5 h",
        "against what runs now: +0.332 $/h (from 0.250), -0.75 $ for the job (from 3.00)",
        "note: 200 images: nobody has counted them",
    ]


def test_in_a_pull_request() -> None:
    assert (
        markdown("train", QUOTE)
        == """\
### Cost of `train`

| | machine | $/h | hours | total | p90 | disk | traffic |
|---|---|--:|--:|--:|--:|--:|--:|
| **now** | 2 machines of 1x RTX 4090, interruptible | 0.582 | 3.2 | 2.25 $ | 2.92 $ | 0.042 $ | 0.068 $ |
| else | 2 machines of 2x RTX 3090, on demand | 0.800 | 0.5 | 2.60 $ | 2.80 $ | 0.40 $ | 0.00 $ |

- **Change** +0.332 $/h (from 0.250), -0.75 $ for the job (from 3.00).
- **Ceiling** 2.81 $ (25% above what is shown): nothing that is expected to cost more is rented; \
no budget.max_total: what runs is ended by lease or idle only.
- **Basis** prices of 2026-11-26 23:44 UTC; job `c90b67e33bb3`.

> 200 images: nobody has counted them
"""
    )


def test_where_nothing_fits() -> None:
    nothing = Quote(digest="d", when=0, source="market", warnings=("no offer fits now",))

    assert text(nothing) == ["nothing that is offered now fits", "no offer fits now"]
    assert markdown("x", nothing) == (
        "### Cost of `x`\n\nNothing that is offered now fits.\n\n> no offer fits now\n"
    )


def test_where_prices_come_from() -> None:
    def told(source: str) -> str:
        return text(QUOTE.model_copy(update={"source": source}))[1].rpartition("; ")[2]

    assert told("last known") == "the last known prices, of 2026-11-26 23:44 UTC"
    assert told("preset") == "no prices are known: the dearest that node.max_price allows"
    assert told("what runs") == "prices of what runs already"


def test_without_a_market_disk_and_traffic_are_not_said_to_cost_nothing() -> None:
    bound = QUOTE.model_copy(update={"source": "preset"})

    assert "; disk unknown, traffic unknown; no prices are known" in text(bound)[1]
    assert "| 2.25 $ | 2.92 $ | unknown | unknown |" in markdown("train", bound)


def test_machines_of_several_classes_are_counted() -> None:
    first, other = QUOTE.options
    mixed = (first.model_copy(update={"machines": 1}), other.model_copy(update={"machines": 2}))
    fleet = QUOTE.model_copy(update={"machines": 3, "options": mixed})

    assert text(fleet)[0] == (
        "3.72 $ in about 3.2 h on 3 machines (1 of 1x RTX 4090, interruptible; 2 of 2x RTX 3090, on demand), "
        "at 1.091 $/h"
    )
    assert not [line for line in text(fleet) if line.startswith("else")]
    assert markdown("train", fleet).count("**now**") == 2
    assert fleet.outputs()["of"] == {"1x RTX 4090, interruptible": 1, "2x RTX 3090, on demand": 2}
