"""The gateway's settings: environment variables, or a file `.env` in the working directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from comfy.custom import Custom
from comfy.workflows import Limits, Models


class Catalogue(BaseModel):
    """What the gateway offers.

    Attributes:
        models: the files that ComfyUI has.
        limits: of one request.
        custom: workflows beside those that are built in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Models
    limits: Limits = Limits()
    custom: tuple[Custom, ...] = ()


def _variable(name: str, default: Any) -> Any:
    return Field(default, validation_alias=name)


class Settings(BaseSettings):
    """All settings; those without a name of their own are read from `GATEWAY_` and their name.

    Attributes:
        comfyui_url: where ComfyUI listens.
        comfyui_pid_file: holds ComfyUI's process id; without it a dead worker is reported, but not restarted.
        comfyui_folder: ComfyUI's, where it is on this machine: what jobs leave in its `output` and `input`
            is removed there.
        host: the address to listen on.
        port: the port to listen on.
        openai_api_key: lets requests have their prompt written out by OpenAI.
        openai_base_url: where OpenAI's API is.
        data: the folder of the queue and of the images.
        tokens: a file of lines `name:SHA-256 of the token, in hexadecimal digits`.
        catalogue: a JSON file, of a `Catalogue`.
        name: ids of jobs begin with it.
        price: of the machine, $/h.
        tls_cert: a certificate, PEM; without one the gateway speaks plain HTTP.
        tls_key: its key, PEM.
        queue: how many jobs may wait.
        rate: how many requests a token may make in a minute; looking is free.
        keep_hours: how long images are kept.
        keep_gb: how much of them is kept, in GB.
        body_mb: the most a request may send, in MB.
        timeout: seconds for one job, from its start.
        stall: seconds without any news of an image that runs, after which ComfyUI's worker counts as dead;
            without news of what only others can follow, it does after `timeout` more.
    """

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_", env_file=".env", extra="ignore", populate_by_name=True
    )

    comfyui_url: str = _variable("COMFYUI_URL", "http://127.0.0.1:18188")
    comfyui_pid_file: Path | None = _variable("COMFYUI_PID_FILE", None)
    comfyui_folder: Path | None = _variable("COMFYUI_FOLDER", None)
    host: str = _variable("API_HOST", "127.0.0.1")
    port: int = _variable("API_PORT", 8000)
    openai_api_key: SecretStr | None = _variable("OPENAI_API_KEY", None)
    openai_base_url: str = _variable("OPENAI_BASE_URL", "https://api.openai.com/v1")
    data: Path = Path("data")
    tokens: Path = Path("tokens")
    catalogue: Path = Path("catalogue.json")
    name: str = Field("node", pattern=r"^[a-z0-9][a-z0-9-]*$")
    price: float | None = Field(None, ge=0)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    queue: int = Field(20, ge=1)
    rate: float = Field(60, ge=1)
    keep_hours: float = Field(24, gt=0)
    keep_gb: float = Field(5, gt=0)
    body_mb: float = Field(20, gt=0)
    timeout: float = Field(600, gt=0)
    stall: float = Field(180, gt=0)
