"""What to rent: the `node:` part of every job file."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from components.spec import gpus, presets
from components.spec.base import Dollars, Duration, Gigabytes, Share, Spec


def _known_gpu(name: str) -> str:
    spelled = name.replace("_", " ")
    if spelled in gpus.known():
        return spelled
    if meant := gpus.meant(spelled):
        raise ValueError(f"Vast.ai lists no GPU named {name!r}; did you mean {meant!r}?")
    return spelled


GpuName = Annotated[str, AfterValidator(_known_gpu)]

_MOST: Final = 10.0
"""$/h for one GPU: no card of `components.spec.gpus` is as dear, so that more is a slip."""

_NO_COUNTRIES: Final = {"UK": "GB is the United Kingdom", "EU": "name the countries"}


def _country(code: str) -> str:
    if code in _NO_COUNTRIES:
        raise ValueError(f"{code} is no country's code: {_NO_COUNTRIES[code]}")
    return code


Country = Annotated[str, Field(pattern="^[A-Z]{2}$"), AfterValidator(_country)]
"""Two letters, as in ISO 3166."""


_SECRETS: Final = {
    **dict.fromkeys(("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"), "the stack's secret huggingface:token"),
    "CIVITAI_TOKEN": "`token: civitai` beside the model's address, the stack's secret civitai:token",
    "OPENAI_API_KEY": "the stack's secret openai:apiKey",
    "VAST_API_KEY": "the stack's secret vast:apiKey, which no machine needs",
}
"""What fragua itself brings where it belongs, by a way that nobody reads."""


def _no_secret(env: dict[str, str]) -> dict[str, str]:
    for name in env:
        if name in _SECRETS:
            raise ValueError(
                f"{name} would be kept in plain text, and the host can read it; leave it out, and set "
                f"{_SECRETS[name]}, or {name.replace('HUGGING_FACE_HUB', 'HF')} on this computer"
            )
    return env


def _bid(value: object) -> object:
    if value is None or value == "auto":
        return value
    with suppress(TypeError, ValueError):
        if not isinstance(value, bool) and 0.001 <= float(value) <= 128:  # type: ignore[arg-type]
            return value
    raise ValueError(
        f"write $/h from 0.001 to 128 for the whole machine, such as 0.60, or `auto`; found {value!r}"
    )


class Gpu(Spec):
    """The GPUs that the job needs."""

    models: Annotated[tuple[GpuName, ...], Field(min_length=1)]
    """Vast.ai's names, such as `RTX 4090`, or a family, such as `A100`."""
    count: Annotated[int, Field(ge=1, le=16)] = 1
    """GPUs in the machine."""
    vram: Gigabytes | None = None
    """Least GB per GPU."""
    cuda: Annotated[float, Field(ge=11, le=20)] = 12.4
    """Least CUDA version that the host's driver supports; 12.4 is what torch 2.6 is built for."""

    @model_validator(mode="after")
    def _vram_exists(self) -> Self:
        names = [name for model in self.models for name in gpus.names(model)]
        sizes = [size for name in names for size in gpus.VRAM.get(name, ())]
        if self.vram is not None and sizes and max(sizes) < self.vram:
            raise ValueError(
                f"no {' or '.join(self.models)} has {self.vram:g} GB of VRAM; the largest has {max(sizes)} "
                "GB: take another, or ask for less (vram is for each GPU)"
            )
        return self


class Internet(Spec):
    """Least bandwidth in Mbps."""

    down: Annotated[float, Field(ge=0, le=100_000)] = 100
    """Mbps from the internet to the machine."""
    up: Annotated[float, Field(ge=0, le=100_000)] = 50
    """Mbps from the machine to the internet."""


class Limits(Spec):
    """How long to wait, and how often to try again."""

    boot: Duration = 1200
    """From renting until the machine runs; a container may load for ever."""
    ssh: Duration = 300
    """From running until SSH accepts the stack's key."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """Machines to try for each node before giving up."""


class Node(Spec):
    """A machine on Vast.ai's market, and the conditions on which it is rented."""

    preset: Literal["finetune", "lora", "inference"] | None = None
    """What the machine is for: whatever is left out here is then as that needs it; see docs/money.md."""
    gpu: Gpu
    image: Annotated[str, Field(min_length=1, max_length=1024)]
    """Docker image."""
    disk: Annotated[Gigabytes, Field(ge=8)]
    """GB of container disk; cannot be changed after renting."""
    cpu: Annotated[int, Field(ge=1)] = 2
    """Least CPU cores."""
    ram: Gigabytes = 16
    """Least GB of system memory."""
    internet: Internet = Internet()
    max_price: Annotated[Dollars, Field(le=128)]
    """Most $/h for GPU and disk together; dearer offers are never rented."""
    bid: Annotated[
        Annotated[float, Field(ge=0.001, le=128)] | Literal["auto"] | None, BeforeValidator(_bid)
    ] = None
    """$/h for the whole machine; makes it interruptible. Left out: on-demand. `auto`: whichever makes the job
    cheapest in all, by a bid that weighs its price against being outbid."""
    reliability: Share = 0.95
    """Least share of time that the host was up, as Vast.ai measures it."""
    verified: bool = True
    """Only hosts that Vast.ai has verified."""
    datacenter: bool = False
    """Only machines in a data centre, not at somebody's home."""
    countries: tuple[Country, ...] = ()
    """Two-letter codes of where the machine may be; empty for anywhere."""
    avoid: tuple[Country, ...] = ()
    """Two-letter codes of where it must not be."""
    env: Annotated[dict[str, Annotated[str, Field(max_length=256)]], AfterValidator(_no_secret)] = Field(
        default={}
    )
    """Environment of the container. Never put a secret here: the host can read it."""
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = ()
    """TCP ports of the container to open to the internet; each gets a public number by chance."""
    label: Annotated[str, Field(max_length=60, pattern=r"^[^\x00-\x1f{}]*$")] = ""
    """Words of yours in the instance's label; the stack's name by default."""
    adopt: Annotated[int, Field(gt=0)] | None = None
    """Id of an instance of this account to take over instead of renting; `pulumi destroy` destroys it."""
    limits: Limits = Limits()

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, value: object) -> object:
        return presets.filled(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.max_price > _MOST * self.gpu.count:
            raise ValueError(
                f"max_price {self.max_price:g} $/h looks like a total: no GPU costs {_MOST:g} $/h. Write the "
                "most that an hour may cost, and the most for the whole job as budget.max_total"
            )
        if self.fixed_bid is not None and self.fixed_bid > self.max_price:
            raise ValueError(f"bid {self.fixed_bid:g} $/h is above max_price {self.max_price:g} $/h")
        if both := sorted({*self.countries} & {*self.avoid}):
            raise ValueError(f"countries and avoid both name {', '.join(both)}: keep one")
        return self

    @property
    def fixed_bid(self) -> float | None:
        """The bid in $/h, where the job says one."""
        return None if self.bid == "auto" else self.bid
