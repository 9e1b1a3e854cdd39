"""Each rule of the policy pack: what it lets pass, what it refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.comfyui import balancer, gateway
from components.comfyui.plan import plan
from components.remote.job import Job
from components.spec.infer import InferJob
from components.spec.load import load
from policy import rules
from policy.pack import policies
from toolchain.bootstrap import ROOT

DEFAULTS: dict[str, dict[str, Any]] = {
    each.name: {name: setting["default"] for name, setting in each.config_schema.properties.items()}
    for each in policies()
    if each.config_schema
}

dollars = st.floats(0.01, 1000)


def machine(purchase: dict[str, Any] | None = None, count: int | None = None, **node: Any) -> dict[str, Any]:
    """Return the inputs of a machine as the engine passes them on: whole numbers are floats too."""
    inputs: dict[str, Any] = {"node": {"max_price": 2.0, **node}, "purchase": purchase}
    return inputs if count is None else {**inputs, "count": float(count)}


@given(dollars, dollars)
def test_a_machine_is_refused_when_and_only_when_its_ceiling_is_above_the_limit(
    price: float, most: float
) -> None:
    problems = list(rules.machine_hourly(machine(max_price=price), {"machine": most}))

    assert bool(problems) == (price > most)


def test_a_machine_with_no_ceiling_is_refused_whatever_the_limit() -> None:
    assert list(rules.machine_hourly({"node": {}}, {"machine": 1e9}))


@given(st.lists(st.tuples(dollars, st.integers(1, 8)), min_size=1, max_size=6), dollars)
def test_a_stack_costs_by_the_hour_what_all_its_machines_do(
    made: list[tuple[float, int]], most: float
) -> None:
    stack = [machine(max_price=price, count=count) for price, count in made]
    problems = list(rules.stack_hourly(stack, {"stack": most}))

    assert bool(problems) == (sum(price * count for price, count in made) > most)


@given(st.lists(dollars, min_size=1, max_size=4), dollars)
def test_a_lock_file_can_only_lower_what_a_machine_may_cost(locked: list[float], most: float) -> None:
    inputs = machine({"classes": [{"gpu": "RTX 4090", "max_price": each} for each in locked]}, max_price=most)

    assert rules.hourly(inputs) == pytest.approx(min(most, max(locked)))


@given(
    st.lists(st.tuples(st.none() | dollars, st.none() | dollars), min_size=1, max_size=4),
    dollars,
)
def test_a_total_counts_the_lower_of_both_caps_and_nothing_unbounded_passes(
    caps: list[tuple[float | None, float | None]], most: float
) -> None:
    stack = [machine({"approved": approved, "max_total": cap}) for approved, cap in caps]
    bounds = [min(each for each in pair if each) if any(pair) else None for pair in caps]
    problems = list(rules.stack_total(stack, {"total": most}))

    assert [rules.total(each) for each in stack] == pytest.approx(bounds)
    if None in bounds:
        assert "nothing bounds" in problems[0]
        assert "budget.max_total" in problems[0]
    else:
        assert bool(problems) == (sum(each for each in bounds if each) > most)
        for inputs, bound in zip(stack, bounds, strict=True):
            assert bool(list(rules.job_total(inputs, {"total": most}))) == (
                bound is not None and bound > most
            )


def test_where_the_market_has_nothing_now_there_is_nothing_to_judge() -> None:
    nothing = machine({"approved": 0.0, "max_total": 900.0})

    assert list(rules.job_total(nothing, {"total": 5.0})) == []
    assert list(rules.stack_total([nothing, machine({"approved": 4.0})], {"total": 5.0})) == []


def test_a_machine_whose_program_says_nothing_of_money_is_refused() -> None:
    assert "nothing bounds" in next(rules.job_total(machine(), {"total": 5.0}))


@pytest.mark.parametrize(
    ("node", "config", "says"),
    [
        ({}, {}, ""),
        ({"countries": ["SE"]}, {}, ""),
        ({}, {"allowed": ["SE", "DE"]}, "it may be rented anywhere: set node.countries"),
        ({"avoid": ["CN"]}, {"allowed": ["SE"]}, "it may be rented anywhere: set node.countries"),
        ({"countries": ["SE"]}, {"allowed": ["SE", "DE"]}, ""),
        ({"countries": ["SE", "US"]}, {"allowed": ["SE"]}, "take US out of node.countries"),
        ({}, {"forbidden": ["CN", "RU"]}, "it may be rented in CN, RU: add that to node.avoid"),
        ({"avoid": ["CN"]}, {"forbidden": ["CN", "RU"]}, "it may be rented in RU: add that to node.avoid"),
        ({"avoid": ["CN", "RU"]}, {"forbidden": ["CN", "RU"]}, ""),
        ({"countries": ["CN"]}, {"forbidden": ["CN"]}, "take CN out of node.countries"),
        ({"countries": ["SE"]}, {"allowed": ["SE"], "forbidden": ["SE"]}, "take SE out of node.countries"),
    ],
)
def test_countries(node: dict[str, Any], config: dict[str, Any], says: str) -> None:
    problems = list(rules.countries(machine(**node), {**DEFAULTS["countries"], **config}))

    assert says in "".join(problems)
    assert bool(problems) == bool(says)


codes = st.sampled_from(["SE", "DE", "US", "CN", "RU"])


@given(st.sets(codes), st.sets(codes), st.sets(codes), st.sets(codes), codes)
def test_what_passes_cannot_be_rented_where_it_must_not_be(
    asked: set[str], avoided: set[str], allowed: set[str], forbidden: set[str], place: str
) -> None:
    config = {"allowed": sorted(allowed), "forbidden": sorted(forbidden)}
    passes = not list(rules.countries(machine(countries=asked, avoid=avoided), config))
    rentable = place not in avoided and (not asked or place in asked)
    rented = {"instance_id": 7.0, "location": f"Somewhere, {place}"}

    if passes and rentable:
        assert list(rules.rented_country(rented, config)) == []


def test_a_machine_that_runs_where_it_must_not_is_named() -> None:
    config = {"allowed": [], "forbidden": ["CN"]}
    here = {"instance_id": 7.0, "location": "Guangdong, CN"}
    unknown = {"instance_id": 8.0, "location": ""}
    gang = {"machines": [{"instance_id": 6.0, "location": "Sweden, SE"}, here]}

    assert next(rules.rented_country(here, config)).startswith(
        "instance 7 runs in Guangdong, CN, which is not"
    )
    assert next(rules.rented_country(unknown, config)).startswith("instance 8 runs in an unknown country")
    assert list(rules.rented_country(unknown, DEFAULTS["countries"])) == []
    assert list(rules.rented_country(machine(), config)) == []
    assert [problem[:10] for problem in rules.rented_country(gang, config)] == ["instance 7"]


@pytest.mark.parametrize(
    ("node", "ports"),
    [
        ({}, []),
        ({"ports": [8000.0]}, []),
        ({"ports": [18188.0, 8188.0]}, ["8188", "18188"]),
        ({"env": {"-p 80:8188": "1"}}, ["8188"]),
        ({"env": {"A": "8188", "-p 70000:8188/tcp -p 9:9": "1"}}, ["8188"]),
    ],
)
def test_a_port_of_comfyui_may_not_be_opened_by_any_way(node: dict[str, Any], ports: list[str]) -> None:
    problems = list(rules.no_public_port(machine(**node), DEFAULTS["no-public-comfyui"]))

    assert [problem.split()[1] for problem in problems] == ports


@pytest.mark.parametrize(
    ("comfyui", "settings", "says"),
    [
        ("main.py --listen 127.0.0.1 --port 18188", {"API_HOST": "127.0.0.1"}, ""),
        ("main.py --listen=::1", {}, ""),
        ("main.py --listen '0.0.0.0'", {}, "ComfyUI would listen on 0.0.0.0"),
        ("main.py --listen 127.0.0.1,10.0.0.1", {}, "ComfyUI would listen on 127.0.0.1,10.0.0.1"),
        ("main.py --listen --port 18188", {}, "ComfyUI would listen on all addresses"),
        ("main.py --listen", {}, "ComfyUI would listen on all addresses"),
        ("main.py", {"API_HOST": "0.0.0.0", "GATEWAY_TLS_CERT": "tls/certificate.pem"}, ""),
        ("main.py", {"API_HOST": "0.0.0.0"}, "the gateway would listen on 0.0.0.0 without TLS"),
    ],
)
def test_a_service_may_not_go_round_the_gateway(comfyui: str, settings: dict[str, str], says: str) -> None:
    problems = list(rules.no_bypass({"comfyui": comfyui, "settings": settings}, {}))

    assert says in "".join(problems)
    assert bool(problems) == bool(says)


@pytest.mark.parametrize(
    ("bind", "refused"),
    [
        (balancer.BIND, False),
        ("127.0.0.1:8080", False),
        ("[::1]:8080", False),
        ("0.0.0.0:8001", True),
        (":8001 crt ssl.pem", True),
    ],
)
def test_a_balancer_may_not_be_reached_without_tls(bind: str, refused: bool) -> None:
    assert ["without TLS" in problem for problem in rules.no_bypass({"bind": bind}, {})] == [True] * refused


@pytest.mark.parametrize(
    ("label", "tags", "lacking"),
    [
        ("", [], 0),
        ("", ["art"], 1),
        ("team=art lora", ["lora", "team="], 0),
        ("team= lora", ["lora", "team="], 1),
        ("loras", ["lora"], 1),
        ("lora", ["lora", "team=", "owner="], 2),
    ],
)
def test_the_label_has_every_tag(label: str, tags: list[str], lacking: int) -> None:
    problems = list(rules.required_tags(machine(label=label), {"tags": tags}))

    assert len(problems) == lacking
    assert all("node.label" in problem for problem in problems)


def test_what_the_project_ships_passes_with_what_the_pack_sets_by_itself() -> None:
    files = sorted((ROOT / "configs").glob("*.yaml"))
    assert files
    for file in files:
        node = load(file).node.model_dump(mode="json", exclude_defaults=True)
        inputs = {"node": node, "purchase": {"approved": 5.0}}
        assert list(rules.machine_hourly(inputs, DEFAULTS["max-hourly"])) == []
        assert list(rules.no_public_port(inputs, DEFAULTS["no-public-comfyui"])) == []
        assert list(rules.countries(inputs, DEFAULTS["countries"])) == []


@pytest.mark.parametrize("expose", ["tls", "tunnel"])
def test_what_fragua_serves_goes_by_the_gateway(expose: str) -> None:
    job = load(ROOT / "configs" / "comfyui.yaml", {"gateway": {"expose": expose}})
    assert isinstance(job, InferJob)
    script: Job = plan(job, {}, token=False, hashes={}).comfyui
    inputs = {"comfyui": script.script, "settings": gateway.settings(job.gateway, "node", "ComfyUI")}

    assert "--listen" in script.script
    assert list(rules.no_bypass(inputs, {})) == []
