"""Whether the balance lasts for the job is said before anything is rented, and is no reason to fail."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from planned import NODE, Stack, asked
from rented import Cloud

from cli import cost
from components.stacks import shown
from components.vast import market
from components.vast.balance import doubt


@pytest.fixture
def credit(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Set what is left of the account's credit, and know nothing of before; enough again afterwards."""
    monkeypatch.setattr(market, "_FRESH", 0)
    yield lambda dollars: cloud.ask("POST", "credit", set=dollars)
    cloud.ask("POST", "credit", set=100000)
    cloud.ask("DELETE", "fault")


def test_a_preview_warns_of_a_balance_that_does_not_last(
    stack: Stack, credit: Callable[[float], None]
) -> None:
    quiet = stack.preview(asked()).outputs["cost"]
    assert "balance" not in stack.said
    credit(3)
    cost_then = stack.preview(asked()).outputs["cost"]
    found = shown.read("s")

    assert "note: the balance of 3.00 $ does not last: the job is expected to take" in stack.said
    assert {**cost_then, "pricesAt": 0} == {**quiet, "pricesAt": 0}
    assert found
    assert [each for each in found.quote.warnings if "the balance of" in each]
    credit(4.5)
    stack.preview(asked(budget={"hours": 1}))
    assert "note: the balance is only 4.50 $; Vast.ai stops every machine" in stack.said


@pytest.mark.parametrize(
    ("dollars", "says"),
    [
        (9.99, r"of 9.99 $ does not last: the job is expected to take 10.00 $; add 2.01 $"),
        (10, "of 10.00 $ may not last: the job may take up to 12.00 $"),
        (11.99, "of 11.99 $ may not last"),
        (12, ""),
    ],
)
def test_what_is_doubted(dollars: float, says: str) -> None:
    assert says in doubt(dollars, 10, 12)
    assert bool(says) == bool(doubt(dollars, 10, 12))


def test_one_that_the_key_may_not_read_is_not_spoken_of(
    stack: Stack, cloud: Cloud, credit: Callable[[float], None]
) -> None:
    credit(0.01)
    refused = {"success": False, "error": "auth_error", "msg": "no scope user_read"}
    cloud.ask("POST", "fault", effect="respond", path="users", count=1, status=403, body=refused)

    assert stack.preview(asked()).outputs["cost"]["prices"] == "market"
    assert "balance" not in stack.said


def test_the_cost_of_a_job_warns_too(
    stack: Stack, credit: Callable[[float], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump({"kind": "machine", "node": NODE}), encoding="utf-8")
    credit(0.5)
    cost.run(tmp_path, str(path), "markdown", lock=False)

    assert stack.searches
    assert "> the balance of 0.50 $ does not last" in capsys.readouterr().out
