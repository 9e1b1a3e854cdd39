"""Tokens that open a host: how they lie on a machine, and go to that host alone. Pure.

A token lies in a secret file as the header that curl reads from it. curl drops that header where it is led to
another host.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from components.errors import SpecError
from components.remote.secret import secret_path, secret_script
from components.spec.tokens import HUGGING_FACE, remedy

HUB: Final = "huggingface.co"


def token_for(url: str, name: str | None, *, hub: bool) -> str:
    """Return the name of the token that `url` is asked with: `name`, else Hugging Face's for its own host.

    It is empty where none is sent.

    Args:
        url: an https address.
        name: of the token that the job names for it.
        hub: whether there is a token for Hugging Face.
    """
    return name or (HUGGING_FACE if hub and urlsplit(url).netloc == HUB else "")


def token_script(name: str, token: str) -> str:
    """Return a script that leaves a token on the machine. It is a secret itself.

    Raises:
        SpecError: it can be none.
    """
    if not re.fullmatch(r"[!-~]+", token.strip()):
        page = " from huggingface.co/settings/tokens" if name == HUGGING_FACE else ""
        raise SpecError(
            f"the token {name} is empty or no token: copy it again{page}, and give it by {remedy(name)}"
        )
    return secret_script(_file(name), f"Authorization: Bearer {token.strip()}")


def header(name: str) -> str:
    """Return the words of bash by which curl sends the token `name`."""
    return f"-H @{secret_path(_file(name))}" if name else ""


def demanded(name: str) -> str:
    """Return a line of bash that ends by `stop MESSAGE` where the token `name` is not on the machine."""
    found = f"[ -e {secret_path(_file(name))} ]"
    return f'{found} || stop "the token {name} is not on the machine"' if name else ""


def denied(url: str, name: str) -> str:
    """Return what it means that `url`, asked with the token `name`, answers 401 or 403, and what to do."""
    host = urlsplit(url).hostname
    if name:
        opens = (
            "accept the repository's conditions on its page"
            if host == HUB
            else f"give another by {remedy(name)}"
        )
        return f"{host} refuses the token {name}: it is wrong or expired, or may not read this; {opens}"
    if host == HUB:
        return f"{host} answers 401 or 403: the repository is gated, private or misspelled; set a token"
    return f"{host} answers 401 or 403: it wants a token; name one by `token: NAME` beside the address"


def _file(name: str) -> str:
    return f"{name}.token"
