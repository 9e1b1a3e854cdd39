"""What a Pulumi program declares of ComfyUI: `Tokens` and `Service`."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pulumi
from pulumi.dynamic import Resource

from components.comfyui import gateway
from components.comfyui.provider import ServiceProvider, TokensProvider

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.comfyui.plan import Plan
    from components.remote.job import Job
    from components.remote.resource import Reach
    from components.spec.infer import InferJob


class Tokens(Resource, module="comfyui", name="Tokens"):
    """A token for each of those who may ask the gateway. Output: `tokens`, by name, a secret."""

    tokens: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, names: Sequence[str], opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare a token for each of `names`."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["tokens"])
        props = {"names": list(names), "tokens": None}
        super().__init__(TokensProvider(), name, props, pulumi.ResourceOptions.merge(secret, opts))


class Service(Resource, module="comfyui", name="Service"):
    """ComfyUI with its models and the gateway in front of it, on one machine, serving.

    Outputs: `url`, `certificate` (PEM), `fingerprint` (of the certificate, SHA-256), `pin` (of its key, as
    curl's --pinnedpubkey wants it); all empty where the gateway is reached through a tunnel only.
    """

    url: pulumi.Output[str]
    certificate: pulumi.Output[str]
    fingerprint: pulumi.Output[str]
    pin: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        reach: Reach,
        job: InferJob,
        plan: Plan,
        *,
        preparations: Sequence[Job],
        links: Mapping[str, pulumi.Input[str]],
        code: str,
        tokens: Tokens,
        secrets: Mapping[str, pulumi.Input[str]],
        address: pulumi.Input[str],
        port: pulumi.Input[int],
        price: pulumi.Input[float],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare that the machine serves.

        Args:
            name: of the replica.
            reach: the machine.
            job: what it is to do.
            plan: how.
            preparations: jobs to wait for.
            links: by its path in ComfyUI's `models`, where each model lies in the workspace.
            code: digest of the gateway's code.
            tokens: who may ask.
            secrets: settings of the gateway that are.
            address: the machine's public one.
            port: the public one that leads to the gateway.
            price: $/h of the machine.
            opts: of the resource.
        """
        settings = gateway.settings(job.gateway, name, plan.folder)
        props = {
            "machine": reach.machine_id,
            "login": reach.login(),
            "preparations": {each.name: each.script for each in preparations},
            "folder": plan.folder,
            "links": links,
            "settings": settings,
            "secrets": pulumi.Output.secret(secrets),
            "catalogue": plan.catalogue,
            "tokens": tokens.tokens.apply(
                lambda found: {name: sha256(token.encode()).hexdigest() for name, token in found.items()}
            ),
            "comfyui": plan.comfyui.script,
            "code": code,
            "expose": job.gateway.expose == "tls",
            "address": address,
            "port": port,
            "price": price,
            "limit": job.ready,
            **dict.fromkeys(("serving", *Service.__annotations__)),
        }
        super().__init__(ServiceProvider(), reach.name("service"), props, reach.options(opts))
