"""What this user's own runs taught, kept between runs: `experience.json` where fragua remembers."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from components.cost.experience import Experience
from components.errors import FraguaError
from components.home import replace, state_folder

_FILE: Final = "experience.json"


class _Kept(BaseModel):
    """By the address of the market's API: a rehearsal on the simulator teaches nothing of real machines."""

    model_config = ConfigDict(extra="forbid")

    markets: dict[str, Experience] = {}


def read_experience(url: str) -> Experience:
    """Return what was learned in the market at `url`; an empty experience where nothing was.

    Raises:
        FraguaError: the file is damaged.
    """
    return _read().markets.get(url, Experience())


def write_experience(url: str, experience: Experience) -> None:
    """Keep what was learned in the market at `url`; what is known of others stays.

    Raises:
        FraguaError: the file is damaged, or cannot be written.
    """
    kept = _read()
    kept.markets[url] = experience
    path = state_folder() / _FILE
    try:
        replace(path, kept.model_dump_json(indent=1, exclude_defaults=True) + "\n")
    except OSError as error:
        raise FraguaError(f"{path}: cannot be written: {error.strerror}") from None


def _read() -> _Kept:
    path = state_folder() / _FILE
    try:
        return _Kept.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return _Kept()
    except OSError as error:
        raise FraguaError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise FraguaError(
            f"{path}: damaged: {f'{where}: ' if where else ''}{first['msg']}. Remove it and run "
            "./fragua calibrate, which makes it anew from the records of your runs"
        ) from None
