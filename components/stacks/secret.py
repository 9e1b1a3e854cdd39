"""Secrets of a stack: from its encrypted config, or from this computer's environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pulumi
from pulumi.runtime import get_config

from components.errors import SpecError
from components.remote.token import token_script
from components.spec.tokens import HUGGING_FACE, named, remedy, variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.spec.load import Job


def secret(config: str, variable: str) -> pulumi.Output[str] | None:
    """Return the stack's secret `config`, such as `openai:apiKey`, or that environment variable."""
    namespace, _, name = config.partition(":")
    if found := pulumi.Config(namespace).get_secret(name):
        return found
    return pulumi.Output.secret(value) if (value := os.environ.get(variable)) else None


def host_tokens(job: Job, place: Callable[[str], str]) -> dict[str, pulumi.Output[str]]:
    """Return scripts that leave tokens on a machine, by name: Hugging Face's if there is one, and the job's.

    Args:
        job: the job.
        place: tells where a field of it stands, such as `configs/my.yaml:12: `.

    Raises:
        SpecError: a token that the job names is not there, or one can be none; one line a problem.
    """
    found: dict[str, pulumi.Output[str]] = {}
    problems = []
    for field, name in ({"": HUGGING_FACE} | named(job)).items():
        where = f"{place(field)}{field}: " if field else ""
        if value := get_config(f"{name}:token") or os.environ.get(variable(name)):
            try:
                found[name] = pulumi.Output.secret(token_script(name, value))
            except SpecError as error:
                problems.append(f"{where}{error}")
        elif field:
            problems.append(f"{where}there is no token {name}: give it by {remedy(name)}")
    if problems:
        raise SpecError("\n".join(problems))
    return found
