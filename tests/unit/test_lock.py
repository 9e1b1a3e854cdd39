"""The lock file: what it approves, and when it is refused."""

from pathlib import Path

import pytest

from cli import cost
from components.cost.purchase import OfferClass
from components.cost.quote import Option, Quote
from components.errors import SpecError
from components.stacks import lock, shown

QUOTE = Quote(
    digest="c90b67e33bb3",
    when=1795736661.4,
    source="market",
    options=(
        Option(gpu="RTX 4090", interruptible=True, price=0.2, hours=3, total=1, p90=2),
        Option(gpu="RTX 3090", price=0.4, hours=3, total=2, p90=2),
    ),
    slack=0.5,
    ceiling=1.5,
)


def test_a_quote_is_approved_and_read_again(tmp_path: Path) -> None:
    path = lock.file(tmp_path, "train")
    lock.write(path, lock.Lock.of(QUOTE), "train")
    found = lock.read(path, "train")

    assert path.name == "Pulumi.train.lock.yaml"
    assert found == lock.Lock.of(QUOTE)
    assert found.max_total == 1.5
    assert found.classes == (
        OfferClass(gpu="RTX 4090", interruptible=True, max_price=0.301),
        OfferClass(gpu="RTX 3090", max_price=0.601),
    )
    found.check("c90b67e33bb3", "train", path)


def test_none_is_none(tmp_path: Path) -> None:
    assert lock.read(lock.file(tmp_path, "train"), "train") is None


def test_a_lock_for_another_job_is_stale() -> None:
    with pytest.raises(SpecError) as refused:
        lock.Lock.of(QUOTE).check("other", "train", Path("Pulumi.train.lock.yaml"))

    assert str(refused.value).startswith(
        "Pulumi.train.lock.yaml: stale: it was made on 2026-11-26 for another"
    )
    assert "`./fragua cost train --lock`" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "the file: "),
        ("a: [", "while parsing"),
        ("digest: a", "when: Field required"),
        (
            "digest: a\nwhen: 2026-11-26T00:00:00Z\nmax_total: -1\nclasses: [{gpu: A, max_price: 1}]",
            "max_total: ",
        ),
        ("digest: a\nwhen: 2026-11-26T00:00:00Z\nmax_total: 1\nclasses: []", "classes: "),
        (
            "digest: a\nwhen: 2026-11-26T00:00:00Z\nmax_total: 1\nclasses: [{gpu: A, price: 1}]",
            "classes.0.max_price: ",
        ),
        ("\x00", "special characters"),
    ],
)
def test_one_that_cannot_be_read_is_refused(content: str, says: str, tmp_path: Path) -> None:
    path = lock.file(tmp_path, "train")
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SpecError) as refused:
        lock.read(path, "train")

    assert f"{path}: cannot be read: " in str(refused.value)
    assert says in str(refused.value)
    assert str(refused.value).endswith("or delete it")


def test_what_runs_can_be_locked_beside_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAGUA_HOME", str(tmp_path / "home"))
    path, old = lock.file(tmp_path, "train"), lock.Lock.of(QUOTE)
    dear = QUOTE.options[0].model_copy(update={"price": 0.6})
    runs = QUOTE.model_copy(update={"digest": "new", "source": "what runs", "options": (dear,), "ceiling": 3})
    shown.write("train", shown.Shown(quote=runs, at=0))
    lock.write(path, old, "train")
    cost.run(tmp_path, "train", "text", lock=True)
    renewed = lock.read(path, "train")

    assert renewed
    assert (renewed.digest, renewed.max_total) == ("new", 3)
    assert renewed.classes == (old.classes[0].model_copy(update={"max_price": 0.901}), old.classes[1])
    assert lock.Lock.of(runs.model_copy(update={"options": QUOTE.options[:1]}), old).classes == old.classes
    assert lock.Lock.of(runs).classes == renewed.classes[:1]
    assert lock.Lock.of(QUOTE, lock.Lock.of(runs)) == old

    path.write_text("<<<<<<< mine", encoding="utf-8")
    cost.run(tmp_path, "train", "text", lock=True)
    assert lock.read(path, "train") == lock.Lock.of(runs)


@pytest.mark.parametrize("changed", [{"options": ()}, {"source": "preset"}, {"ceiling": None}])
def test_what_was_not_seen_on_the_market_is_not_locked(changed: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="`pulumi preview` shows them"):
        lock.Lock.of(QUOTE.model_copy(update=changed))
