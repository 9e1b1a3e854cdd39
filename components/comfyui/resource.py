"""What a Pulumi program declares of ComfyUI: `Tokens`, `Service` and `Front`."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import pulumi
from pulumi.dynamic import Resource

from components.comfyui import balancer, gateway
from components.comfyui.front import Replica, haproxy
from components.comfyui.provider import FrontProvider, ServiceProvider, TokensProvider

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


@dataclass(frozen=True)
class Place:
    """Where the world finds a gateway: its machine's public address, the port, and the certificate, PEM."""

    address: pulumi.Input[str]
    port: pulumi.Input[int]
    certificate: pulumi.Input[str]


class Front(Resource, module="comfyui", name="Front"):
    """The balancer over all gateways of a stack, on the machine of one of them, serving.

    It shows that gateway's certificate. Output: `url`.
    """

    url: pulumi.Output[str]

    def __init__(
        self,
        reach: Reach,
        places: Sequence[Place],
        number: int,
        *,
        port: pulumi.Input[int],
        limit: float,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare that the machine balances.

        Args:
            reach: the machine.
            places: of all gateways, by number.
            number: of the gateway that is on this machine; 1 is the first.
            port: the public one that leads to the balancer.
            limit: seconds for the installation.
            opts: of the resource.
        """
        own = places[number - 1]
        replicas = pulumi.Output.all(
            *(
                pulumi.Output.all(at, "127.0.0.1", gateway.PORT, place.certificate)
                if place is own
                else pulumi.Output.all(at, place.address, place.port, place.certificate)
                for at, place in enumerate(places, 1)
            )
        ).apply(lambda found: [Replica(f"n{at}", host, int(port), pem) for at, host, port, pem in found])
        props = {
            "machine": reach.machine_id,
            "login": reach.login(),
            "address": own.address,
            "port": port,
            "bind": balancer.BIND,
            "config": replicas.apply(lambda found: haproxy(found, balancer.BIND)),
            "certificates": replicas.apply(lambda found: {each.file: each.certificate for each in found}),
            "certificate": own.certificate,
            "limit": limit,
            **dict.fromkeys(("serving", "url")),
        }
        super().__init__(FrontProvider(), reach.name("front"), props, reach.options(opts))
