"""The ledger of a run: what each part's numbers mean, where to go on, what was trained, and its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import FraguaError
from components.kohya.ledger import (
    Ledger,
    Part,
    Point,
    Saved,
    begun,
    brought,
    closed,
    epoch_of,
    listed,
    next_part,
    observed,
    read,
    steps_done,
    write,
)
from components.kohya.options import FULL, LORA, Script
from components.kohya.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

PER_EPOCH = 10
SHA = "0" * 64


def ledger(script: Script = LORA, epochs: int = 6, *parts: Part) -> Ledger:
    return Ledger(
        run="cat-1", name="cat", script=script, epochs=epochs, steps_per_epoch=PER_EPOCH, parts=parts
    )


def log(run: Ledger, every: int, steps: int) -> str:
    """Return what the last part's trainer prints in so many steps, cut off amid the save that follows."""
    done = run.parts[-1].done
    first = done if run.script == LORA else 0
    last = run.epochs - (0 if run.script == LORA else done)
    total, lines, step = last * PER_EPOCH, [], 0
    for epoch in range(first + 1, last + 1):
        lines.append(f"epoch {epoch}/{last}")
        for _ in range(PER_EPOCH):
            if step == steps:
                return "\n".join(lines) + "\n"
            step += 1
            lines.append(f"steps:  1%|█ | {step}/{total} [00:02<03:21,  2.03s/it, avr_loss=0.1]")
        number = "" if epoch == last else f"-{epoch:06d}"
        if epoch == last or epoch % every == 0:
            lines.append(f"saving checkpoint: out/cat{number}.safetensors")
            if step == steps:
                return "\n".join(lines) + "\n"
            lines.append(f"saving state at epoch {epoch}" if number else "model saved.")
    return "\n".join(lines) + "\n"


def heard(run: Ledger, text: str) -> Ledger:
    progress = Progress()
    progress.read(text)
    return observed(run, progress)


def all_home(run: Ledger) -> Ledger:
    for saved in run.parts[-1].saved:
        run = brought(run, len(run.parts), saved.name, {saved.name: SHA})
    return run


@given(
    st.sampled_from([LORA, FULL]),
    st.integers(1, 6),
    st.integers(1, 3),
    st.lists(st.integers(0, 60), max_size=8),
)
def test_however_often_it_is_interrupted_each_costs_at_most_one_interval(
    script: Script, epochs: int, every: int, interruptions: list[int]
) -> None:
    run, planned = ledger(script, epochs), epochs * PER_EPOCH
    count = 0
    for machine, steps in enumerate([*interruptions, planned + 1]):
        point = next_part(run)
        if point.done == epochs:
            break
        run = begun(run, machine)
        assert run.parts[-1].done == point.done
        assert point.done % every == 0
        run = closed(all_home(heard(run, log(run, every, steps))), "preempted")
        count += 1

    trained, twice, left = steps_done(run)
    assert next_part(run).done == epochs
    assert left == 0
    assert trained - twice == planned
    assert trained <= planned + (count - 1) * every * PER_EPOCH
    saves = {
        (saved.epoch, saved.kind) for part in run.parts for saved in part.saved if saved.epoch % every == 0
    }
    assert {epoch for epoch, kind in saves if kind == "checkpoint"} >= set(range(every, epochs, every))


@pytest.mark.parametrize(
    ("script", "name", "epoch"),
    [
        (LORA, "cat-000004.safetensors", 4),
        (LORA, "cat-000004-state", 4),
        (FULL, "cat-000002.safetensors", 5),
        (FULL, "cat-000002-state", 5),
        (FULL, "cat-000002", 5),
        (LORA, "cat.safetensors", 6),
        (FULL, "cat.safetensors", 6),
        (FULL, "cat-state", 6),
        (LORA, "cat-step00000100.safetensors", None),
        (FULL, "cat-step00000100-state", None),
    ],
)
def test_a_file_s_number_is_the_run_s_for_a_lora_and_the_part_s_for_a_full_fine_tune(
    script: Script, name: str, epoch: int | None
) -> None:
    assert epoch_of(ledger(script), Part(index=2, done=3, machine=7), name) == epoch


def test_a_number_in_the_output_name_is_not_an_epoch() -> None:
    run = ledger().model_copy(update={"name": "cat-000002"})
    part = Part(index=1, done=0, machine=7)

    assert epoch_of(run, part, "cat-000002.safetensors") == 6
    assert epoch_of(run, part, "cat-000002-000003.safetensors") == 3


def saved(epoch: int, kind: str = "state", *, home: bool = True) -> Saved:
    name = f"cat-{epoch:06d}" + ("-state" if kind == "state" else ".safetensors")
    return Saved.model_validate(
        {"epoch": epoch, "name": name, "kind": kind, "files": {name: SHA} if home else {}}
    )


def both(epoch: int) -> tuple[Saved, Saved]:
    return saved(epoch), saved(epoch, "checkpoint")


def part(index: int, *saves: Saved, ended: str = "preempted", state: str = "", steps: int = 5) -> Part:
    return Part.model_validate(
        {
            "index": index,
            "done": 0,
            "machine": 7,
            "state": state,
            "steps": steps,
            "ended": ended,
            "saved": saves,
        }
    )


@pytest.mark.parametrize(
    ("parts", "point"),
    [
        ([], Point(0)),
        ([part(1)], Point(0)),
        ([part(1, *both(1), *both(2))], Point(2, state="part-1/cat-000002-state")),
        ([part(1, *both(1), saved(2, home=False))], Point(1, state="part-1/cat-000001-state")),
        ([part(1, *both(1), saved(2))], Point(1, state="part-1/cat-000001-state")),
        ([part(1, *both(3)), part(2, *both(1))], Point(3, state="part-1/cat-000003-state")),
        ([part(1, *both(1)), part(2, saved(3, "checkpoint"))], Point(1, state="part-1/cat-000001-state")),
        ([part(1, saved(1, home=False)), part(2, saved(2, "checkpoint"))], Point(0)),
        (
            [
                part(1, *both(1), *both(2)),
                part(2, ended="failed", state="part-1/cat-000002-state", steps=0),
            ],
            Point(1, state="part-1/cat-000001-state"),
        ),
        (
            [part(1, *both(2)), part(2, ended="failed", state="part-1/cat-000002-state")],
            Point(2, state="part-1/cat-000002-state"),
        ),
        ([part(1, *both(2)), part(2, ended="failed", state="part-1/cat-000002-state", steps=0)], Point(0)),
        ([part(1, saved(5), saved(6, "checkpoint"))], Point(6)),
    ],
)
def test_a_run_goes_on_from_the_newest_state_that_is_whole_at_home(parts: list[Part], point: Point) -> None:
    assert next_part(ledger(LORA, 6, *parts)) == point._replace(steps_per_epoch=PER_EPOCH)


def test_a_run_that_saves_no_states_goes_on_from_its_newest_weights() -> None:
    run = ledger(LORA, 6, part(1, saved(2, "checkpoint"), saved(4, "checkpoint")))

    assert next_part(run).done == 0
    assert next_part(run.model_copy(update={"states": False})) == Point(
        4, weights="part-1/cat-000004.safetensors", steps_per_epoch=PER_EPOCH
    )


def test_paths_are_the_same_at_home_and_under_any_folder_of_a_machine() -> None:
    assert Point(2, state="part-1/s").under("runs/cat") == Point(2, state="runs/cat/part-1/s")
    assert Point(2, weights="part-1/w").under("runs/cat") == Point(2, weights="runs/cat/part-1/w")


def test_what_is_heard_again_changes_nothing_and_what_is_home_stays() -> None:
    run = begun(ledger(FULL), 7)
    run = all_home(heard(run, log(run, 1, 25)))

    assert heard(run, log(run, 1, 25)) == run
    assert heard(run, log(run, 1, 12)).parts[-1].steps == 25
    assert [each.name for each in run.parts[-1].saved] == [
        "cat-000001.safetensors",
        "cat-000002.safetensors",
        "cat-000001-state",
        "cat-000002-state",
    ]


def test_steps_count_up_to_a_save_that_was_seen_though_its_bar_was_not() -> None:
    run = heard(begun(ledger(), 7), "epoch 1/6\nsaving checkpoint: out/cat-000001.safetensors\nepoch 2/6\n")

    assert steps_done(run).trained == PER_EPOCH


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.integers(0, 60), cut=st.integers(1, 400))
def test_a_ledger_comes_back_from_its_file_or_is_called_damaged(tmp_path: Path, steps: int, cut: int) -> None:
    path = tmp_path / "home/ledger.json"
    run = begun(ledger(), 7)
    run = all_home(heard(run, log(run, 1, steps)))
    write(path, run)
    assert read(path) == run
    assert [each.name for each in path.parent.iterdir()] == ["ledger.json"]

    path.write_bytes(path.read_bytes()[: -min(cut + 1, path.stat().st_size)])
    with pytest.raises(FraguaError, match=r"home/ledger\.json: .* damaged.*Put a copy of it back, or move"):
        read(path)


def test_a_field_that_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(ledger().model_dump_json().replace('"epochs":6', '"epochs":"six"'))

    with pytest.raises(FraguaError, match="epochs: "):
        read(path)


def test_no_file_is_no_ledger(tmp_path: Path) -> None:
    assert read(tmp_path / "ledger.json") is None


def test_a_run_that_never_began_cannot_have_ended() -> None:
    """As where `watch` is refused by the machine on a computer that has no ledger yet."""
    assert closed(ledger(), "failed") == ledger()


def test_what_lies_in_the_bucket_counts_though_the_trainer_removed_it() -> None:
    """Names that no part of the run saves are nobody's."""
    run = ledger(FULL, 6, Part(index=1, done=0, machine=7, steps=20), Part(index=2, done=2, machine=8))
    names = ("cat-000001.safetensors", "cat-000001-state", "cat-000001.txt", "other-000001-state", "..")
    there = {f"part-{number}/{name}" for number in (1, 2, 3) for name in names}

    found = listed(run, there)

    assert [[(saved.epoch, saved.name, saved.kind) for saved in part.saved] for part in found.parts] == [
        [(epoch, "cat-000001-state", "state"), (epoch, "cat-000001.safetensors", "checkpoint")]
        for epoch in (1, 3)
    ]
    assert all(not saved.files for part in found.parts for saved in part.saved)
    assert listed(found, there) == found
