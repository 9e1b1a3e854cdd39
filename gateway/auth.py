"""Who may ask, and how often."""

from __future__ import annotations

import hmac
import math
import re
import time
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.errors import RateLimited, Unauthorized

if TYPE_CHECKING:
    from pathlib import Path


class Tokens:
    """The tokens that are let in, known by their digests only, and how much each has asked lately.

    Args:
        file: lines `name:SHA-256 of the token`.
        rate: requests per minute that each may make on average; as many at once at most.

    Raises:
        ValueError: the file is not there, or a line is not of that form.
    """

    def __init__(self, file: Path, rate: float) -> None:
        how = f"write a line into it: echo \"NAME:$(printf %s TOKEN | sha256sum | cut -d' ' -f1)\" >> {file}"
        try:
            lines = file.read_text().split()
        except OSError as error:
            raise ValueError(f"GATEWAY_TOKENS: cannot read {file}: {error.strerror}; {how}") from None
        if not lines or not all(re.fullmatch(r"[^:]+:[0-9a-f]{64}", line) for line in lines):
            raise ValueError(f"GATEWAY_TOKENS: {file} has no tokens, or a line that is none; {how}")
        self._digests = dict(line.split(":") for line in lines)
        self._rate = rate
        self._left = dict.fromkeys(self._digests, (rate, time.monotonic()))

    def name(self, header: str | None) -> str:
        """Return the name of the token in an `Authorization` header.

        Raises:
            Unauthorized: there is none, or it is not known.
        """
        scheme, _, token = (header or "").partition(" ")
        digest = sha256(token.strip().encode()).hexdigest()
        # all are compared, so that the time says nothing
        found = [name for name, known in self._digests.items() if hmac.compare_digest(known, digest)]
        if scheme.lower() != "bearer" or not found:
            raise Unauthorized("a token is needed: send the header `Authorization: Bearer TOKEN`")
        return found[0]

    def spend(self, name: str) -> None:
        """Count a request of the token of that name.

        Raises:
            RateLimited: it made too many.
        """
        left, at = self._left[name]
        now = time.monotonic()
        left = min(self._rate, left + (now - at) * self._rate / 60)
        if left < 1:
            wait = math.ceil((1 - left) * 60 / self._rate)
            raise RateLimited(
                f"more than {self._rate:g} requests in a minute: wait {wait} s", retry_after=wait
            )
        self._left[name] = (left - 1, now)
