"""The policies as Pulumi knows them: names, what a team may set of each, and which rules hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pulumi_policy import (
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policy import rules

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pulumi_policy import Policy

    Inputs = Mapping[str, Any]
    Rule = Callable[[Inputs, Inputs], Iterable[str]]
    StackRule = Callable[[Collection[Inputs], Inputs], Iterable[str]]

_MACHINES: Final = ("vast:Instance", "vast:Gang")
_SERVICES: Final = ("comfyui:Service", "comfyui:Front")


class Rules(ResourceValidationPolicy):
    """Holds rules on a resource before it is created, even by `up --skip-preview`.

    So a stack's sum is made here, of what was declared so far: a policy of Pulumi's on whole stacks is asked
    at the end, when all is rented.
    """

    def __init__(
        self,
        name: str,
        description: str,
        settings: Mapping[str, dict[str, Any]],
        *,
        machine: Rule | None = None,
        stack: StackRule | None = None,
        service: Rule | None = None,
    ) -> None:
        super().__init__(name, description, config_schema=PolicyConfigSchema(dict(settings)))
        self.config: Inputs = {}
        self._settings, self._machine, self._stack, self._service = settings, machine, stack, service
        self._machines: dict[str, Inputs] = {}

    def validate(self, args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
        """Report what is wrong with the resource, if it is one that costs or serves."""
        if not args.resource_type.endswith((*_MACHINES, *_SERVICES)):
            return
        self.config = args.get_config()
        try:
            for problem in (*rules.unknown_settings(self.config, self._settings), *self._problems(args)):
                report_violation(problem, None)
        except UnknownValueError as error:  # which Pulumi would only advise about
            report_violation(f"{error.message}, so it can't be allowed", None)

    def _problems(self, args: ResourceValidationArgs) -> Iterable[str]:
        if args.resource_type.endswith(_SERVICES):
            return self._service(args.props, self.config) if self._service else ()
        self._machines[args.urn] = args.props
        own = self._machine(args.props, self.config) if self._machine else ()
        together = self._stack(list(self._machines.values()), self.config) if self._stack else ()
        return (*own, *together)


class RentedCountry(StackValidationPolicy):
    """Holds `countries` on the machines that there are, such as one that was adopted."""

    def __init__(self, countries: Rules) -> None:
        super().__init__("rented-country", "No machine runs in a country that `countries` rules out.")
        self._countries = countries

    def validate(self, args: StackValidationArgs, report_violation: ReportViolation) -> None:
        """Report machines that run where they must not."""
        for resource in args.resources:
            if resource.resource_type.endswith(_MACHINES) and self._countries.config:
                try:
                    for problem in rules.rented_country(resource.props, self._countries.config):
                        report_violation(problem, resource.urn)
                except UnknownValueError:  # not rented yet
                    continue


def _money(default: float, meaning: str) -> dict[str, Any]:
    return {"type": "number", "exclusiveMinimum": 0, "default": default, "description": meaning}


def _list(default: list[Any], item: dict[str, Any], meaning: str) -> dict[str, Any]:
    return {"type": "array", "items": item, "default": default, "description": meaning}


_COUNTRY: Final = {"type": "string", "pattern": "^[A-Z]{2}$"}


def policies() -> list[Policy]:
    """Return all policies, in the order in which a person reads them."""
    countries = Rules(
        "countries",
        "Machines are rented only where the team allows it.",
        {
            "allowed": _list([], _COUNTRY, "two-letter codes; empty for all that are not forbidden"),
            "forbidden": _list([], _COUNTRY, "two-letter codes"),
        },
        machine=rules.countries,
    )
    return [
        Rules(
            "max-hourly",
            "No machine and no stack may cost more by the hour than the team allows.",
            {
                "machine": _money(4, "$/h of one machine"),
                "stack": _money(16, "$/h of all machines of a stack"),
            },
            machine=rules.machine_hourly,
            stack=rules.stack_hourly,
        ),
        Rules(
            "max-job-total",
            "No job may cost more on one machine than the team allows.",
            {"total": _money(100, "$")},
            machine=rules.job_total,
        ),
        Rules(
            "max-stack-total",
            "No stack may cost more, all its machines together, than the team allows.",
            {"total": _money(200, "$")},
            stack=rules.stack_total,
        ),
        countries,
        RentedCountry(countries),
        Rules(
            "no-public-comfyui",
            "ComfyUI is reached through the gateway or a tunnel only.",
            {
                "ports": _list(
                    [8188, 18188],
                    {"type": "integer", "minimum": 1, "maximum": 65535},
                    "ports of a container that no machine may open",
                )
            },
            machine=rules.no_public_port,
            service=rules.no_bypass,
        ),
        Rules(
            "required-tags",
            "Every machine's label says whose it is.",
            {
                "tags": _list(
                    [], {"type": "string", "pattern": r"^\S+$"}, "words, or `team=` for that with any value"
                )
            },
            machine=rules.required_tags,
        ),
    ]
