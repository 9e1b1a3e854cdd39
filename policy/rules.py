"""The rules: from what a stack declares to what is wrong with that, one sentence each. Pure.

`inputs` are a resource's, as `components.vast.resource` and `components.comfyui.resource` declare them;
`config` is what the team set, with the defaults of `policy.pack`. What is not said is read the harsher way.
"""

from __future__ import annotations

import ipaddress
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    Inputs = Mapping[str, Any]

_LISTEN = re.compile(r"--listen\b(?:[=\s]+(?!--)['\"]?([^\s'\";&|]+))?")


def hourly(inputs: Inputs) -> float:
    """Return the most $/h that a resource's machines may cost: `node.max_price`, or less by the lock file."""
    locked = [float(each["max_price"]) for each in _purchase(inputs).get("classes") or ()]
    most = float(inputs["node"].get("max_price", math.inf))
    return min(most, max(locked, default=most)) * _machines(inputs)


def total(inputs: Inputs) -> float | None:
    """Return the most $ that a resource's machines may be expected to cost; None where nothing says it.

    Where the market has nothing now, nothing is approved: 0 $.
    """
    caps = [
        float(cap) for name in ("approved", "max_total") if (cap := _purchase(inputs).get(name)) is not None
    ]
    return min(caps) * _machines(inputs) if caps else None


def machine_hourly(inputs: Inputs, config: Inputs) -> Iterator[str]:
    """Check the $/h of a machine."""
    each = hourly(inputs) / _machines(inputs)
    if each > config["machine"]:
        yield (
            f"it may cost {each:g} $/h, and at most {config['machine']:g} $/h is allowed for a machine: "
            "lower node.max_price in the job file"
        )


def stack_hourly(stack: Collection[Inputs], config: Inputs) -> Iterator[str]:
    """Check the $/h of a stack's machines together."""
    together = sum(map(hourly, stack))
    if together > config["stack"]:
        yield (
            f"with it the stack may cost {together:g} $/h, and at most {config['stack']:g} $/h is allowed: "
            "lower node.max_price or the number of machines in the job file"
        )


def job_total(inputs: Inputs, config: Inputs) -> Iterator[str]:
    """Check the $ that a job may come to on one machine."""
    most = total(inputs)
    if most is None:
        yield _unbounded(config)
    elif (each := most / _machines(inputs)) > config["total"]:
        yield (
            f"the job may cost {each:.2f} $ on it, and at most {config['total']:.2f} $ is allowed: "
            "lower budget.max_total in the job file, or make the job smaller"
        )


def stack_total(stack: Collection[Inputs], config: Inputs) -> Iterator[str]:
    """Check the $ that a stack's machines may come to together."""
    each = [total(inputs) for inputs in stack]
    known = [most for most in each if most is not None]
    if len(known) < len(each):
        yield _unbounded(config)
    elif sum(known) > config["total"]:
        yield (
            f"with it the stack may cost {sum(known):.2f} $ in all, and at most {config['total']:.2f} $ is "
            "allowed: lower budget.max_total or the number of machines in the job file"
        )


def countries(inputs: Inputs, config: Inputs) -> Iterator[str]:
    """Check where a machine may be rented: in `node.countries`, or anywhere but in `node.avoid`."""
    asked, avoided = (set(inputs["node"].get(name) or ()) for name in ("countries", "avoid"))
    allowed, forbidden = config["allowed"], set(config["forbidden"])
    if not asked and allowed:
        yield f"it may be rented anywhere: set node.countries in the job file to some of {_words(allowed)}"
    elif not asked and forbidden - avoided:
        yield f"it may be rented in {_words(forbidden - avoided)}: add that to node.avoid in the job file"
    for country in sorted(asked - avoided):
        if _outside(country, config):
            yield f"it may be rented in {country}, which is not allowed: take {country} out of node.countries"


def rented_country(outputs: Inputs, config: Inputs) -> Iterator[str]:
    """Check where a machine is, by its output `location`, such as `Sweden, SE`.

    What is still to be rented, in a preview, has no `instance_id` and is nowhere yet.
    """
    for machine in outputs.get("machines") or (outputs,):
        if machine.get("instance_id") is None:
            continue
        location = str(machine.get("location") or "")
        if _outside(location.rpartition(",")[2].strip(), config):
            yield (
                f"instance {machine['instance_id']:.0f} runs in {location or 'an unknown country'}, which is "
                "not allowed: set node.countries in the job file, and replace it or destroy the stack"
            )


def no_public_port(inputs: Inputs, config: Inputs) -> Iterator[str]:
    """Check that a machine opens no port of ComfyUI's, which would let anybody run code there."""
    node = inputs["node"]
    opened = {*map(int, node.get("ports") or ()), *_published(node.get("env") or {})}
    for port in sorted(opened & {int(port) for port in config["ports"]}):
        yield (
            f"port {port} is ComfyUI's, asks nobody for a password, and would be open to the world: take it "
            "out of node.ports and node.env, and use the gateway or `./fragua tunnel`"
        )


def no_bypass(inputs: Inputs, _config: Inputs) -> Iterator[str]:
    """Check that ComfyUI is reached by the gateway only, and that, or a balancer, by TLS or a tunnel only."""
    for match in _LISTEN.finditer(str(inputs.get("comfyui") or "")):
        addresses = (match[1] or "0.0.0.0").split(",")  # noqa: S104 - what ComfyUI takes a bare --listen for
        if not all(map(_loopback, addresses)):
            yield f"ComfyUI would listen on {match[1] or 'all addresses'}: let it listen on 127.0.0.1 only"
    settings = inputs.get("settings") or {}
    host = str(settings.get("API_HOST") or "127.0.0.1")
    if not _loopback(host) and not settings.get("GATEWAY_TLS_CERT"):
        yield f"the gateway would listen on {host} without TLS: use gateway.expose `tls` or `tunnel`"
    address, *options = str(inputs.get("bind") or "127.0.0.1:0").split()
    if not _loopback(address.rpartition(":")[0]) and "ssl" not in options:
        yield f"the balancer would listen on {address} without TLS: leave gateway.front out"


def required_tags(inputs: Inputs, config: Inputs) -> Iterator[str]:
    """Check that the words of `node.label` have each tag: a word such as `art`, or `team=` with any value."""
    words = str(inputs["node"].get("label") or "").split()
    for tag in config["tags"]:
        if not any(
            word.startswith(tag) and word != tag if tag.endswith("=") else word == tag for word in words
        ):
            example = f"{tag}NAME" if tag.endswith("=") else tag
            yield f"its label lacks {tag!r}: add the word {example!r} to node.label in the job file"


def unknown_settings(config: Inputs, known: Iterable[str]) -> Iterator[str]:
    """Check the names in `config`: Pulumi passes over one that is misspelled, and the limit would be lost."""
    for name in sorted(set(config) - set(known)):
        yield f"the policy's config has an unknown name {name!r}: it knows {_words(known) or 'none'}"


def _machines(inputs: Inputs) -> int:
    return int(inputs.get("count") or 1)


def _purchase(inputs: Inputs) -> Inputs:
    return inputs.get("purchase") or {}


def _unbounded(config: Inputs) -> str:
    return (
        "nothing bounds what the job may cost in all: set budget.max_total in the job file, "
        f"to at most {config['total']:.2f} $"
    )


def _outside(country: str, config: Inputs) -> bool:
    allowed, forbidden = config["allowed"], config["forbidden"]
    if not country:
        return bool(allowed or forbidden)
    return country in forbidden or bool(allowed and country not in allowed)


def _published(env: Inputs) -> set[int]:
    """Return the ports that the environment opens: at Vast.ai `-p HOST:CONTAINER` is a name of a variable."""
    found = re.findall(r"(?:^|\s)(?:-p|--publish)[=\s]*(\S+)", " ".join(map(str, env)))
    return {int(port) for each in found if (port := each.rpartition(":")[2].partition("/")[0]).isdigit()}


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def _words(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
