"""Where a model comes from, as a job file says it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from components.spec.base import Sha256, Spec, TokenName
from components.spec.source import Url


class ModelSource(Spec):
    """Where the node gets a model: exactly one of the ways.

    The token `huggingface`, if there is one, opens huggingface.co without being named.
    """

    WAYS: ClassVar[tuple[str, ...]] = ("huggingface", "url", "local", "path")
    ENDINGS: ClassVar[tuple[str, ...]] = (".safetensors",)
    """What its file may end in; an address that ends otherwise is held to be the first."""

    huggingface: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """Hugging Face repository, with `file` naming the one file in it."""
    file: Annotated[str, Field(pattern=r"^[\w./-]+\.safetensors$")] | None = None
    """The file in that repository."""
    url: Url | None = None
    """https address of a .safetensors file."""
    local: Annotated[str, Field(pattern=r"^[^\n]+\.safetensors$")] | None = None
    """A file on this computer; it is uploaded."""
    path: Annotated[str, Field(pattern=r"^/\S+\.safetensors$")] | None = None
    """A file that is already on the node, under /workspace."""
    token: TokenName | None = None
    """Sent to the host of `url` or `huggingface` alone; the stack's secret `NAME:token`, or NAME_TOKEN."""
    sha256: Sha256 | None = None
    """Checked after the download."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in self.WAYS if getattr(self, name)]
        if len(given) != 1:
            *first, last = self.WAYS
            found = " and ".join(given) or "none"
            raise ValueError(f"give exactly one of {', '.join(first)} and {last}; found {found}")
        if (self.huggingface is None) != (self.file is None):
            raise ValueError("huggingface and file belong together: the repository and the one file in it")
        if self.token and not (self.url or self.huggingface):
            raise ValueError("token is sent to a host: it belongs to `url` or `huggingface`")
        if self.path and not PurePosixPath(self.path).is_relative_to("/workspace"):
            raise ValueError("path must be under /workspace on the node")
        return self


class BaseModelSource(ModelSource):
    """The SDXL checkpoint that training starts from."""
