"""How long training takes: by card, batch, size and options, near what users report."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest
from library import speed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from image_machine import Machine

CARDS = ("RTX 3060", "RTX 3090", "RTX 4090", "A100-SXM4-80GB", "H100 80GB HBM3", "H200")


@pytest.fixture
def step(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., float]]:
    """The seconds of a step; the card and the options of the command line by name."""

    def seconds(
        card: str, batch: int = 1, pixels: int = 1024**2, *, full: bool = False, **options: Any
    ) -> float:
        machine.with_gpus((f"NVIDIA {card}", 81920))
        monkeypatch.setenv("SIMULATED_MACHINE", str(machine.home / "facts.json"))
        forget()
        args = argparse.Namespace(
            mem_eff_attn=False,
            xformers=False,
            sdpa=True,
            gradient_checkpointing=False,
            mixed_precision="bf16",
            cache_latents=True,
            cache_text_encoder_outputs=True,
            optimizer_type="AdamW8bit",
        )
        vars(args).update(options)
        return speed.step(args, batch, pixels, full=full, trains_text=False, processes=1)

    yield seconds
    forget()


def forget() -> None:
    """Forget the facts that the code under test has read."""
    speed.machine.cache_clear()
    speed._seconds_per_image.cache_clear()


def test_a_3090_ti_is_as_fast_as_reported(step: Callable[..., float]) -> None:
    # sd-scripts #827: LoRA, batch 1, 1024 x 1024, bf16, Adafactor, xformers, no checkpointing: 1.12 s/it.
    seconds = step("GeForce RTX 3090 Ti", xformers=True, optimizer_type="Adafactor")
    assert seconds == pytest.approx(1.12, rel=0.1)


def test_better_cards_are_faster(step: Callable[..., float]) -> None:
    times = [step(card) for card in CARDS]
    assert times == sorted(times, reverse=True)
    assert times[-1] > 0.1


def test_a_card_that_nobody_knows_has_a_speed_too(step: Callable[..., float]) -> None:
    assert 0.5 < step("Graphics Device") < 10


def test_checkpointing_costs_a_fifth_to_a_third(step: Callable[..., float]) -> None:
    assert 1.2 <= step("A40", gradient_checkpointing=True) / step("A40") <= 1.35


def test_larger_batches_take_longer_but_less_for_each_image(step: Callable[..., float]) -> None:
    times = [step("A40", batch) for batch in (1, 2, 4, 8)]
    assert times == sorted(times)
    each = [time / batch for time, batch in zip(times, (1, 2, 4, 8), strict=True)]
    assert each == sorted(each, reverse=True)


@pytest.mark.parametrize(
    "slower",
    [
        {"full": True},
        {"pixels": 1536**2},
        {"mixed_precision": "no"},
        {"cache_latents": False},
        {"cache_text_encoder_outputs": False},
        {"sdpa": False},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_costs_time(step: Callable[..., float], slower: dict[str, Any]) -> None:
    assert step("A40", **slower) > 1.02 * step("A40")
