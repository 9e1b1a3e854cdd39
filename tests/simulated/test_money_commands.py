"""`fragua offers` and `fragua cost`: the market for a job, the sum for an offer, and a stack's price."""

import json
import re
from pathlib import Path

import pytest
from rented import Cloud

from cli import cost, offers
from components.errors import FraguaError, SpecError
from components.spec.load import load
from components.stacks import lock, shown
from components.stacks.asked import asked_by
from components.stacks.pricing import quoted, ranked

JOB = """\
kind: machine
node:
  gpu: {models: [RTX 4090, RTX 3090], vram: 24, cuda: 12.4}
  image: ubuntu
  disk: 40
  max_price: 0.45
  bid: auto
"""


@pytest.fixture
def job(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VAST_URL", cloud.url)
    monkeypatch.setenv("VAST_API_KEY", cloud.api_key)
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "job.yaml"
    path.write_text(JOB, encoding="utf-8")
    return path


def told(job: Path, capsys: pytest.CaptureFixture[str], explained: int | None = None) -> str:
    offers.run(job, explained, every=True, as_json=False)
    return capsys.readouterr().out


def test_every_offer_is_in_the_table_or_among_the_losers(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(job, capsys)
    offers.run(job, None, every=False, as_json=True)
    data = json.loads(capsys.readouterr().out)
    totals = [each["total"] for each in data["choices"]]
    kinds = {each["bid"] is None for each in data["choices"]}

    assert totals == sorted(totals)
    assert kinds == {True, False}
    assert len(re.findall(r"^ *\d+ +\d{8} ", text, re.MULTILINE)) == len(totals)
    for each in (*data["choices"], *data["rejected"]):
        assert str(each["offer"]) in text
    reasons = {each["reasons"][0] for each in data["rejected"]}
    assert "dearer than 0.45 $/h" in reasons
    assert all(sum(each["parts"].values()) == pytest.approx(each["total"]) for each in data["choices"])


def test_the_sum_of_an_offer_is_explained(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ranking, _ = ranked(asked_by(load(job), lambda _: ""))
    best = ranking.choices[0]
    text = told(job, capsys, best.offer.id)

    for part in best.estimate.parts:
        assert re.search(rf"{part.name} +{part.dollars:.4f}", text)
    assert f"in the mean {best.estimate.total:.4f}" in re.sub(" +", " ", text)
    assert f"number 1 of {len(ranking.choices)}" in text

    lost = next(each for each in ranking.rejected if each.estimate is None)
    assert f"not rented: {lost.reason}" in told(job, capsys, lost.offer.id)
    with pytest.raises(FraguaError, match="no offer 5 on the market now"):
        told(job, capsys, 5)


def test_without_a_market_there_is_no_table(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAST_API_KEY")
    with pytest.raises(FraguaError, match=r"no Vast\.ai API key"):
        offers.run(job, None, every=False, as_json=False)


@pytest.mark.parametrize(
    ("form", "begins"),
    [("text", "job.yaml: "), ("markdown", "### Cost of `job.yaml`\n\n| | "), ("json", "{")],
)
def test_a_job_s_cost_is_told(
    form: cost.Format, begins: str, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cost.run(job.parent, str(job), form, lock=False)
    asked = asked_by(load(job), lambda _: "")
    quote = quoted(asked, *ranked(asked))
    text = capsys.readouterr().out

    assert text.startswith(begins)
    if form == "json":
        assert json.loads(text)["total"] == quote.total
    else:
        assert f"{quote.total:.2f} $" in text


def test_a_stack_s_is_what_was_shown_and_can_be_locked(
    job: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(FraguaError, match="`pulumi preview -s mine` first"):
        cost.run(tmp_path, "mine", "text", lock=False)
    asked = asked_by(load(job), lambda _: "")
    quote = quoted(asked, *ranked(asked))
    shown.write("mine", shown.Shown(quote=quote, at=0))
    cost.run(tmp_path, "mine", "text", lock=True)
    written = lock.read(tmp_path / "Pulumi.mine.lock.yaml", "mine")

    assert "Pulumi.mine.lock.yaml is written: commit it" in capsys.readouterr().out
    assert written
    written.check(asked.digest, "mine", Path())
    again, _ = ranked(asked, lock=written)
    assert {each.terms.gpu for each in again.choices} == {each.gpu for each in written.classes}
    with pytest.raises(FraguaError, match="--lock: name a stack"):
        cost.run(tmp_path, str(job), "text", lock=True)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("disk: 40", "disk: 40960", "looks like MiB"),
        (
            "kind: machine",
            "kind: machine\nbudget: {deadline: 2026-01-01T00:00Z}",
            r"job.yaml:2: budget.deadline: it was",
        ),
    ],
)
def test_a_wrong_job_is_refused_as_anywhere(old: str, new: str, says: str, job: Path) -> None:
    job.write_text(JOB.replace(old, new), encoding="utf-8")
    with pytest.raises(SpecError, match=says):
        offers.run(job, None, every=False, as_json=False)
    with pytest.raises(SpecError, match=says):
        cost.run(job, str(job), "text", lock=False)
