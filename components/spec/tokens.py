"""The tokens that a job names for the hosts that it downloads from, and where a person puts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from components.spec.load import Job

HUGGING_FACE: Final = "huggingface"
"""The name of the token that huggingface.co gets without being named."""


def variable(name: str) -> str:
    """Return the environment variable that may hold the token `name`."""
    return "HF_TOKEN" if name == HUGGING_FACE else f"{name.upper()}_TOKEN"


def remedy(name: str) -> str:
    """Return how a person gives the token `name`."""
    return f"`pulumi config set --secret {name}:token`, or {variable(name)} in the environment"


def named(job: Job) -> dict[str, str]:
    """Return the name of the token that each field of `job` asks for, such as `base_model.token`."""
    if job.kind == "infer":
        found = {f"models.{key}": source.token for key, source in job.models.sources().items()}
    elif job.kind == "train":
        archive = job.dataset.archive
        found = {
            "base_model": job.base_model.token,
            "dataset.archive": archive.token if archive else None,
        }
    else:
        found = {}
    return {f"{field}.token": name for field, name in found.items() if name}
