"""Secrets of a stack: from its encrypted config, or from this computer's environment."""

from __future__ import annotations

import os

import pulumi

from components.remote.model import token_script


def secret(config: str, variable: str) -> pulumi.Output[str] | None:
    """Return the stack's secret `config`, such as `openai:apiKey`, or that environment variable."""
    namespace, _, name = config.partition(":")
    if found := pulumi.Config(namespace).get_secret(name):
        return found
    return pulumi.Output.secret(value) if (value := os.environ.get(variable)) else None


def hub_token() -> pulumi.Output[str] | None:
    """Return the token for Hugging Face.

    Raises:
        SpecError: HF_TOKEN can be none.
    """
    if token := os.environ.get("HF_TOKEN"):
        token_script(token)
    return secret("huggingface:token", "HF_TOKEN")
