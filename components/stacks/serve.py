"""An inference job made ready: its models found, its workflows read and checked. Spends nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from comfy.custom import read_graph
from components.comfyui.gateway import PACKAGES
from components.comfyui.plan import Plan, digest, plan
from components.errors import SpecError
from components.remote.manifest import Manifest, known_hashes, scan
from components.spec import gpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from components.spec.infer import InferJob

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ready:
    """A job that may be served.

    Attributes:
        plan: what is done on each machine.
        uploads: the files on this computer that go to the machines, by the key of their model.
        code: what the gateway is made of, by folder.
        warnings: what a person should know before it costs, one line each.
    """

    plan: Plan
    uploads: dict[str, Path]
    code: dict[Path, Manifest]
    warnings: tuple[str, ...]

    @property
    def version(self) -> str:
        """Identifies the gateway's code."""
        return digest(*(manifest.digest for manifest in self.code.values()))


def ready(job: InferJob, place: Callable[[str], str], *, token: bool = False) -> Ready:
    """Check and plan `job`.

    Args:
        job: the job.
        place: tells where a field of it stands, such as `configs/my.yaml:12: `.
        token: whether there is a token for Hugging Face; without one nothing but the fetching differs.

    Raises:
        SpecError: the job cannot be right; one line a problem.
    """
    graphs, problems = {}, []
    for index, workflow in enumerate(job.workflows):
        field = f"workflows.{index}.graph"
        try:
            graphs[workflow.name] = read_graph(Path(workflow.graph).expanduser().read_text(encoding="utf-8"))
        except OSError as error:
            problems.append(f"{place(field)}{field}: {workflow.graph}: {error.strerror}")
        except ValueError as error:
            problems.append(f"{place(field)}{field}: {workflow.graph}: {error}")
    uploads = {
        key: Path(source.local).expanduser() for key, source in job.models.sources().items() if source.local
    }
    for key, path in uploads.items():
        if not path.is_file():
            field = f"models.{key}"
            problems.append(f"{place(field)}{field}.local: {path}: no such file")
    if problems:
        raise SpecError("\n".join(problems))
    hashes = dict(zip(uploads, known_hashes(list(uploads.values())), strict=True))
    try:
        planned = plan(job, graphs, token=token, hashes=hashes)
    except ValueError as error:
        raise SpecError(
            "\n".join(f"{place('workflows')}workflows: {line}" for line in _lines(error))
        ) from None
    code = {_ROOT / name: scan(_ROOT / name) for name in PACKAGES}
    return Ready(planned, uploads, code, tuple(_warnings(job, place)))


def _lines(error: ValueError) -> list[str]:
    if isinstance(error, ValidationError):
        return [str(each["msg"]).removeprefix("Value error, ") for each in error.errors()]
    return str(error).splitlines()


def _warnings(job: InferJob, place: Callable[[str], str]) -> Iterator[str]:
    yield from gpus.doubts(job.node.gpu.models, place)
    if job.node.gpu.count > 1:
        where = f"{place('node.gpu.count')}node.gpu.count"
        yield f"{where}: ComfyUI uses one GPU, and {job.node.gpu.count} are rented"
    if job.node.bid is not None:
        yield (
            f"{place('node.bid')}node.bid: the machine may be taken away, and nothing rents another until "
            "the next `pulumi up --refresh`"
        )
