"""The inference stack: machines with ComfyUI and its models, and a gateway in front of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from components.comfyui import balancer, gateway
from components.comfyui.resource import Front, Place, Service, Tokens
from components.comfyui.trained import trained
from components.errors import SpecError
from components.home import output_folder
from components.remote.resource import File, Folder, step
from components.spec.tokens import HUGGING_FACE
from components.stacks.asked import of_serving
from components.stacks.machine import described, rent
from components.stacks.price import priced
from components.stacks.secret import host_tokens, secret
from components.stacks.serve import ready
from components.vast.resource import SshKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from components.remote.resource import Reach
    from components.spec.infer import InferJob
    from components.spec.models import ServedModel
    from components.stacks.price import Priced
    from components.stacks.serve import Ready
    from components.vast.resource import Instance


def build(job: InferJob, place: Callable[[str], str]) -> dict[str, Any]:
    """Declare the stack of `job` and return its outputs; `place` tells where a field of it stands.

    Installation, models and the gateway's code do not wait for each other; the service waits for all.

    Raises:
        SpecError: the job cannot be right; nothing was declared.
    """
    opens, secrets = host_tokens(job, place), _secrets(job, place)
    found = ready(job, place, token=HUGGING_FACE in opens)
    for warning in found.warnings:
        pulumi.log.warn(warning)
    price = priced(of_serving(job, found), place)
    models = {key: _trained(key, source) for key, source in job.models.sources().items() if source.train}
    key, tokens = SshKey("key"), Tokens("tokens", job.gateway.tokens)
    stack = _Replicas(job, found, price, models, tokens, opens, secrets)
    replicas = [stack.declare(number, key) for number in range(1, job.replicas + 1)]
    machine, service, _ = replicas[0]
    name, tls = pulumi.get_stack(), job.gateway.expose == "tls"
    outputs = {
        **described(machine),
        "pricePerHour": pulumi.Output.all(*(each.price for each, *_ in replicas)).apply(sum),
        "workflows": list(found.plan.workflows),
        "comfyui": f"http://127.0.0.1:{gateway.COMFYUI_PORT} through ./fragua tunnel {name}",
        "gateway": service.url if tls else f"http://127.0.0.1:{gateway.PORT} through ./fragua tunnel {name}",
        "token": tokens.tokens.apply(lambda all_: all_[job.gateway.tokens[0]]),
        "tokens": tokens.tokens,
        "replicas": [
            {
                "instance": each.instance_id,
                "gpu": each.gpu,
                "pricePerHour": each.price,
                "url": served.url,
                "certificate": served.certificate,
            }
            for each, served, _ in replicas
        ],
        **price.outputs,
    }
    if tls:
        outputs |= {
            "fingerprint": service.fingerprint,
            "curl": pulumi.Output.format(_CURL, name, service.pin, service.url),
        }
    if number := job.gateway.front:
        front, (_, beside, _) = _front(job, replicas, number), replicas[number - 1]
        outputs |= {
            "front": front.url,
            "frontCertificate": beside.certificate,
            "frontFingerprint": beside.fingerprint,
            "curl": pulumi.Output.format(_CURL, name, beside.pin, front.url),
        }
    return outputs


def _front(job: InferJob, replicas: Sequence[tuple[Instance, Service, Reach]], number: int) -> Front:
    """Declare the balancer over all `replicas`, on the machine of that number."""
    machine, _, reach = replicas[number - 1]
    return Front(
        reach,
        [
            Place(each.address, _port(each, gateway.PORT), service.certificate)
            for each, service, _ in replicas
        ],
        number,
        port=_port(machine, balancer.PORT),
        limit=job.ready,
        opts=pulumi.ResourceOptions(depends_on=[step(reach, balancer.INSTALL)]),
    )


def _port(machine: Instance, inside: int) -> pulumi.Output[int]:
    """Return the public port that leads to that one of the container."""
    return machine.ports.apply(lambda ports: int(ports.get(str(inside), 0)))


_CURL = (
    "printf 'header = \"Authorization: Bearer %s\"' "
    '"$(./fragua pulumi stack output token --show-secrets -s {0})" '
    "| curl --config - --fail --silent --show-error --insecure --pinnedpubkey {1} "
    '--header "Content-Type: application/json" --data \'{{"prompt": "a lighthouse at dusk"}}\' '
    "--output image.png {2}/generate"
)
"""Only a gateway with that very key is talked to; the token is in no process's arguments."""


class _Replicas:
    """What all machines of a stack have in common."""

    def __init__(
        self,
        job: InferJob,
        found: Ready,
        price: Priced,
        models: Mapping[str, pulumi.Output[dict[str, str]]],
        tokens: Tokens,
        opens: Mapping[str, pulumi.Output[str]],
        secrets: Mapping[str, pulumi.Output[str]],
    ) -> None:
        self._opens, self._secrets = opens, secrets
        self._job, self._ready, self._models, self._tokens = job, found, models, tokens
        self._price = price

    def declare(self, number: int, key: SshKey) -> tuple[Instance, Service, Reach]:
        """Declare the machine of that number, and the service on it; return how to reach it, too."""
        machine, reach = rent(self._price, key, number)
        plan = self._ready.plan
        code: list[pulumi.Resource] = [
            Folder(source.name, reach, source, manifest, folder=f"{gateway.CODE}/{source.name}")
            for source, manifest in self._ready.code.items()
        ]
        install = gateway.install(self._ready.version)
        waits: list[pulumi.Resource] = [
            step(reach, plan.install),
            step(reach, install, opts=pulumi.ResourceOptions(depends_on=code)),
        ]
        links: dict[str, pulumi.Input[str]] = {}
        for model in plan.models:
            name = f"model-{model.key.replace('.', '-')}"
            if model.job:
                links[model.link] = model.path or ""
                waits.append(step(reach, model.job, before=self._opens.get(model.job.token)))
            elif model.path:
                links[model.link] = model.path
                source = str(self._ready.uploads[model.key])
                waits.append(File(name, reach, source, path=model.path))
            else:
                there = self._models[model.key]
                links[model.link] = there["path"]
                waits.append(File(name, reach, there["source"], path=there["path"]))
        service = Service(
            f"n{number}",
            reach,
            self._job,
            plan,
            preparations=[*plan.preparations, install],
            links=links,
            code=self._ready.version,
            tokens=self._tokens,
            secrets=self._secrets,
            address=machine.address,
            port=_port(machine, gateway.PORT),
            price=machine.price,
            opts=pulumi.ResourceOptions(depends_on=waits),
        )
        return machine, service, reach


def _trained(key: str, source: ServedModel) -> pulumi.Output[dict[str, str]]:
    """Return where a checkpoint of another stack lies here, and where it goes on a machine.

    The run is the one that the stack is on; where the stack is destroyed already, its newest at home.
    """
    other = pulumi.StackReference(f"{pulumi.get_organization()}/{pulumi.get_project()}/{source.train}")
    home = output_folder() / str(source.train)
    return other.get_output("checkpoints").apply(lambda run: trained(key, source, home, run))


def _secrets(job: InferJob, place: Callable[[str], str]) -> dict[str, pulumi.Output[str]]:
    """Return the settings of the gateway that are secret."""
    if not job.gateway.enhance:
        return {}
    if key := secret("openai:apiKey", "OPENAI_API_KEY"):
        return {"OPENAI_API_KEY": key}
    raise SpecError(
        f"{place('gateway.enhance')}gateway.enhance: it needs a key of OpenAI: "
        "`pulumi config set --secret openai:apiKey`, or OPENAI_API_KEY"
    )
