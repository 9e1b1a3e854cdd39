"""The policies as Pulumi asks them, without an engine: what is unknown, what is misspelled, what adds up."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN
from pulumi_policy import PolicyResource, PolicyResourceOptions, ResourceValidationArgs, StackValidationArgs
from pulumi_policy.proxy import unknown_checking_proxy

from policy.pack import RentedCountry, Rules, policies

INSTANCE = "pulumi-python:dynamic/vast:Instance"


def named(name: str) -> Rules:
    [found] = [each for each in policies() if each.name == name]
    assert isinstance(found, Rules)
    return found


def judged(policy: Rules, config: dict[str, Any], name: str = "node", **props: Any) -> list[str]:
    said: list[str] = []
    args = ResourceValidationArgs(
        INSTANCE, unknown_checking_proxy(props), f"urn::{name}", name, None, None, config
    )
    policy.validate(args, lambda problem, _urn: said.append(problem))
    return said


def test_a_stack_adds_up_machine_by_machine_and_none_counts_twice() -> None:
    policy, config = named("max-hourly"), {"machine": 3.0, "stack": 5.0}
    node = {"max_price": 2.0}

    assert judged(policy, config, "node", node=node) == []
    assert judged(policy, config, "node", node=node) == []
    assert judged(policy, config, "node-2", node=node) == []
    [problem] = judged(policy, config, "node-3", node=node)
    assert problem.startswith("with it the stack may cost 6 $/h, and at most 5 $/h is allowed")


def test_what_is_not_known_before_up_is_refused_where_pulumi_would_only_advise() -> None:
    policy, config = named("max-job-total"), {"total": 5.0}

    [problem] = judged(policy, config, node={"max_price": 1.0}, purchase=UNKNOWN)
    assert "purchase" in problem
    assert "can't be allowed" in problem
    assert judged(policy, config, node={}, purchase={"approved": 1.0}, private_key=UNKNOWN) == []


def test_a_misspelled_setting_is_refused_and_does_not_lift_the_limit() -> None:
    problems = judged(
        named("max-hourly"), {"machine": 4.0, "stack": 16.0, "mashine": 1.0}, node={"max_price": 5.0}
    )

    assert problems[0] == "the policy's config has an unknown name 'mashine': it knows machine, stack"
    assert len(problems) == 2


def test_what_neither_costs_nor_serves_is_let_alone() -> None:
    for policy in policies():
        if isinstance(policy, Rules):
            args = ResourceValidationArgs("pulumi:pulumi:Stack", {}, "urn", "stack", None, None, {})
            policy.validate(args, lambda problem, _urn: pytest.fail(problem))


def test_a_machine_in_a_forbidden_country_is_reported_by_its_urn() -> None:
    countries = named("countries")
    rented = RentedCountry(countries)
    options = PolicyResourceOptions(False, [], None, [], None, [])
    resources = [
        PolicyResource(INSTANCE, unknown_checking_proxy(outputs), urn, urn, options, None, None, [], {})
        for urn, outputs in {
            "here": {"instance_id": 7.0, "location": "Guangdong, CN"},
            "changed": {"instance_id": UNKNOWN, "location": UNKNOWN},
            "planned": {"node": {}},
            "planned gang": {"machines": UNKNOWN},
        }.items()
    ]
    said: list[tuple[str, str | None]] = []
    judged(countries, {"allowed": [], "forbidden": ["CN"]}, node={"countries": ["SE"]})
    rented.validate(StackValidationArgs(resources, {}), lambda problem, urn: said.append((problem, urn)))

    [(problem, urn)] = said
    assert urn == "here"
    assert "Guangdong, CN" in problem
