"""Reading sd-scripts' log: its real bars and lines, in pieces of any size."""

from __future__ import annotations

import math
from dataclasses import astuple
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.kohya.progress import Progress

LORA_LOG = (
    "prepare tokenizers\n"
    "Using DreamBooth method.\n"
    "read caption: 100%|██████████| 20/20 [00:00<00:00, 2801.25it/s]\r\n"
    "num train images * repeats / 学習画像の数と繰り返し回数: 200\n"
    "\r  0%|          | 0/20 [00:00<?, ?it/s]\r 45%|████▌     | 9/20 [00:01<00:01,  8.71it/s]\n"
    "override steps. steps for 2 epochs is / 指定エポックまでのステップ数: 100\n"
    "\rsteps:   0%|          | 0/100 [00:00<?, ?it/s]"
    "\nepoch 1/2\n\n"
    "\rsteps:   1%|          | 1/100 [00:02<03:21,  2.03s/it]"
    "\rsteps:   1%|          | 1/100 [00:02<03:21,  2.03s/it, avr_loss=0.142]"
    "\rsteps:  50%|█████     | 50/100 [00:20<00:20,  2.45it/s, avr_loss=0.0921]"
    "\nsaving checkpoint: runs/animal-1/output/animal-000001.safetensors\n"
    "\nepoch 2/2\n\n"
    "\rsteps: 100%|██████████| 100/100 [00:41<00:00,  2.43it/s, avr_loss=0.088]"
    "\nsaving checkpoint: runs/animal-1/output/animal.safetensors\n"
    "model saved.\n"
    "\rsteps: 100%|██████████| 100/100 [00:45<00:00,  2.21it/s, avr_loss=0.088]\n"
)

BAR = "steps:  12%|█▏        | 120/1000 [02:24<17:36,  1.20s/it, avr_loss=0.0921]"


NORMS = (
    "steps:  10%|█         | 1/10 [00:02<00:18,  2.00s/it, "
    "Average key norm=0.0123, Keys Scaled=0, avr_loss=0.2]"
)
"""With --scale_weight_norms."""


def read(*pieces: str) -> Progress:
    progress = Progress()
    for piece in pieces:
        progress.read(piece)
    return progress


def test_a_whole_training_is_understood() -> None:
    progress = read(LORA_LOG)

    assert (progress.step, progress.total, progress.epoch, progress.epochs) == (100, 100, 2, 2)
    assert progress.loss == 0.088
    assert progress.checkpoints == (
        "runs/animal-1/output/animal-000001.safetensors",
        "runs/animal-1/output/animal.safetensors",
    )
    assert progress.finished
    assert progress.seconds_left == 0


@pytest.mark.parametrize(
    ("bar", "step", "total", "rate", "loss"),
    [
        (BAR, 120, 1000, 1.2, 0.0921),
        ("steps:   0%|          | 0/1000 [00:00<?, ?it/s]", 0, 1000, 0, None),
        ("steps:   1%|          | 8/1000 [00:02<04:08,  4.00it/s, avr_loss=0.15]", 8, 1000, 0.25, 0.15),
        ("steps:  80%|███ | 8/10 [26:03:04<6:30:00, 11723.10s/it, avr_loss=1.2e-5]", 8, 10, 11723.1, 1.2e-5),
        (NORMS, 1, 10, 2, 0.2),
        ("steps: 100%|██████████| 10/10 [00:20<00:00,  2.00s/it]", 10, 10, 2, None),
    ],
)
def test_a_bar_is_read(bar: str, step: int, total: int, rate: float, loss: float | None) -> None:
    progress = read(f"\r{bar}")

    assert (progress.step, progress.total, progress.seconds_per_step, progress.loss) == (
        step,
        total,
        rate,
        loss,
    )


@pytest.mark.parametrize("loss", ["nan", "inf"])
def test_a_loss_that_is_no_number_has_diverged(loss: str) -> None:
    progress = read(BAR.replace("0.0921", loss))

    assert progress.diverged
    assert progress.loss is not None
    assert not math.isfinite(progress.loss)


@pytest.mark.parametrize("text", ["", BAR, LORA_LOG])
def test_a_finite_loss_has_not_diverged(text: str) -> None:
    assert not read(text).diverged


@pytest.mark.parametrize(
    "line",
    [
        "read caption: 100%|██████████| 20/20 [00:00<00:00, 2801.25it/s]",
        " 45%|████▌     | 9/20 [00:01<00:01,  8.71it/s]",
        "100%|██████████| 20/20 [00:01<00:00, 12.11it/s]",
        "validation steps:  50%|█████     | 1/2 [00:01<00:01,  1.00s/it]",
        "epoch validation steps:  50%|█████     | 1/2 [00:01<00:01,  1.00s/it, val_epoch_avg_loss=nan]",
    ],
)
def test_other_bars_are_ignored(line: str) -> None:
    assert astuple(read(f"\r{line}\n")) == astuple(Progress())


@pytest.mark.parametrize(
    "line", ["  num epochs / epoch数: 2", "see epoch 9/9", "the model saved", "steps: many"]
)
def test_lines_that_only_look_alike_are_ignored(line: str) -> None:
    assert astuple(read(f"{line}\n")) == astuple(Progress())


PIECES = st.lists(st.integers(0, len(LORA_LOG)), max_size=40).map(
    lambda cuts: [LORA_LOG[start:end] for start, end in pairwise([0, *sorted(cuts), len(LORA_LOG)])]
)


@given(PIECES)
def test_the_log_may_come_in_any_pieces(pieces: list[str]) -> None:
    assert astuple(read(*pieces)) == astuple(read(LORA_LOG))


LINES = st.sampled_from(
    [
        *(BAR, BAR[:40], BAR.replace("120", "121"), BAR.replace("120", "122"), "epoch 1/5", "", "x]"),
        *("saving checkpoint: a b.safetensors", "saving state at epoch 1", "saving last state."),
        *("removing old checkpoint: a b.safetensors", "model saved."),
    ]
)


@given(st.lists(st.tuples(LINES, st.sampled_from(["\r", "\n", "\r\n"]))), st.data())
def test_any_log_may_come_in_any_pieces(lines: list[tuple[str, str]], data: st.DataObject) -> None:
    text = "".join(line + end for line, end in lines)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=10))
    pieces = [text[start:end] for start, end in pairwise([0, *sorted(cuts), len(text)])]

    assert astuple(read(*pieces)) == astuple(read(text))


def test_a_bar_counts_before_its_line_has_ended() -> None:
    """sd-scripts ends the line only when it has something else to say."""
    assert read("\rsteps:   1%|", "          | 1/100 [00:02<03:21,  2.03s/it]").step == 1


def test_the_time_left_follows_from_the_mean_rate() -> None:
    assert read(BAR).seconds_left == pytest.approx(880 * 1.2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "step 0/0, loss -, 0:00:00 left"),
        (BAR, "step 120/1000, loss 0.0921, 0:17:36 left"),
        (f"epoch 1/5\n{BAR}", "epoch 1/5, step 120/1000, loss 0.0921, 0:17:36 left"),
        (BAR.replace("1.20s/it", "9.00s/it"), "step 120/1000, loss 0.0921, 2:12:00 left"),
    ],
)
def test_progress_is_one_line_for_a_person(text: str, words: str) -> None:
    assert str(read(text)) == words


def bar(step: int) -> str:
    return BAR.replace("120", str(step))


CHECKPOINT, STATE = "out/cat.v2-000003.safetensors", "out/cat.v2-000003-state"
SAVING = [bar(30), f"saving checkpoint: {CHECKPOINT}"]
SAVING_STATE = [*SAVING, "", "saving state at epoch 3", f"Saving current state to {STATE}"]


@pytest.mark.parametrize(
    ("lines", "whole"),
    [
        (SAVING, ()),
        ([*SAVING, bar(30), bar(31), "Some warning"], ()),
        ([*SAVING, bar(31), bar(32)], (CHECKPOINT,)),
        ([*SAVING, "epoch 4/5"], (CHECKPOINT,)),
        ([*SAVING, "removing old checkpoint: out/cat.v2-000001.safetensors"], (CHECKPOINT,)),
        ([*SAVING, "saving last state."], (CHECKPOINT,)),
        ([*SAVING, "model saved."], (CHECKPOINT,)),
        (SAVING_STATE, (CHECKPOINT,)),
        ([*SAVING_STATE, bar(30), bar(31)], (CHECKPOINT,)),
        ([*SAVING_STATE, "removing old state: out/cat.v2-000001-state"], (CHECKPOINT, STATE)),
        ([*SAVING_STATE, "epoch 4/5"], (CHECKPOINT, STATE)),
        ([*SAVING_STATE, "epoch 4/5", f"removing old checkpoint: {CHECKPOINT}"], (STATE,)),
        ([*SAVING_STATE, "epoch 4/5", f"removing old state: {STATE}"], (CHECKPOINT,)),
    ],
)
def test_a_save_is_whole_when_the_trainer_went_on(lines: list[str], whole: tuple[str, ...]) -> None:
    assert read("\n".join(lines) + "\n").whole == whole


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("saving checkpoint: out/cat.ckpt", "out/cat.ckpt"),
        ("saving model: out/cat-000001", "out/cat-000001"),
        ("save trained model as StableDiffusion checkpoint to out/cat.safetensors", "out/cat.safetensors"),
        ("save trained model as Diffusers to out/cat", "out/cat"),
    ],
)
def test_every_form_of_a_checkpoint_is_seen(line: str, path: str) -> None:
    assert read(f"{line}\nmodel saved.\n").whole == (path,)


@given(st.lists(st.integers(1, 50), max_size=600))
def test_a_curve_is_thinned_evenly_and_ends_near_the_last_step(gaps: list[int]) -> None:
    steps = [sum(gaps[:count]) for count in range(1, len(gaps) + 1)]
    points = read(*(f"\r{bar(step)}" for step in steps)).points

    assert len(points) <= 512
    assert [step for step, _ in points] == sorted({step for step, _ in points} & set(steps))
    if len(steps) <= 512:
        assert [step for step, _ in points] == steps
    else:
        assert steps[-1] - points[-1][0] < 2 * max(gaps)


def test_a_loss_that_is_no_number_is_no_point_of_a_curve() -> None:
    assert read(BAR.replace("0.0921", "nan")).points == ()
    assert read(BAR).points == ((120, 0.0921),)
