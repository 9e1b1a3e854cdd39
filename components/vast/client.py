"""Vast.ai's REST API over HTTP: one method an endpoint. Knows no policy beyond the API's own pace.

Facts it stands on (Vast.ai's OpenAPI files, CLI and production clients):
- calls are limited to one every few seconds for each endpoint and key; over it comes 429, often as plain
  text and never with Retry-After, so calls are spaced here before they are sent;
- a bare 404 may mean a revoked key, a missing instance is 200 with null, and some failures are 200 with
  `success: false`;
- creating is not idempotent: it is never repeated unless the answer proves that nothing was made.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

import requests

from components.errors import ApiError, NotFound, OfferGone, RateLimited, ReplyLost, Unauthorized
from components.say import say
from components.vast.wire import Charge, Instance, Offer, SshKey, User

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SPACING: Final[dict[str, float]] = {
    "search": 6.0,
    "create": 4.5,
    "list": 1.0,
    "show": 2.0,
    "manage": 1.0,
    "bid": 5.5,
    "destroy": 3.0,
    "keys": 1.0,
    "attach": 1.0,
    "user": 1.0,
    "charges": 1.0,
}
"""Least seconds between two calls of one endpoint with one key, from the API's documented thresholds."""

_MARGIN: Final = 0.1
"""Seconds added to each spacing: two calls may come closer to each other on their way."""

_PENALTY: Final = 12.0
"""Seconds to wait after a create was refused with 429, as documented."""

_TRIES: Final = 6
_FIRST_WAIT: Final = 2.0
_TIMEOUT: Final = (10, 60)
_SILENT: Final = 5.0
"""Seconds after which a person is told what is waited for."""
_TRANSIENT: Final = (429, 500, 502, 503, 504)
_GONE_WORDS: Final = ("no_such_ask", "not available", "no longer available")


class _Pace:
    """Spaces the calls of one endpoint and key, across the threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, spacing: float) -> None:
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + spacing
        time.sleep(start - now)


class _Patience:
    """Tells a person what a call waits for, and how long at most, once it has taken some seconds."""

    def __init__(self, call: str, waits: list[float], longest: float) -> None:
        """Prepare for tries that take no `longest` each in seconds, with these `waits` between them."""
        self._call, self._waits, self._longest, self._problem = call, waits, longest, ""
        self._timer = threading.Timer(_SILENT, self._tell)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def failed(self, problem: str, seconds: float, waits: list[float]) -> None:
        """Note that a try failed after so many seconds, as the others would, and what waits are left."""
        self._problem, self._longest, self._waits = f" ({problem})", seconds, waits

    def _tell(self) -> None:
        most = sum(self._waits) + self._longest * (1 + len(self._waits))
        say(
            f"no answer from {self._call} yet{self._problem}: waiting for {most:.0f} s more at most",
            aside=True,
        )


_paces: defaultdict[tuple[str, str, str], _Pace] = defaultdict(_Pace)


class Api:
    """A connection to Vast.ai with one key.

    Attributes:
        url: the base URL, without a trailing slash.

    Every method raises `Unauthorized`, `RateLimited` or another `ApiError` when the API refuses, and
    `ReplyLost` when a call's outcome is unknown.
    """

    def __init__(
        self, url: str, key: str, *, tries: int = _TRIES, timeout: tuple[float, float] = _TIMEOUT
    ) -> None:
        """Use the API at `url`.

        Args:
            url: the base URL.
            key: sent in a header and never shown.
            tries: of a call that may be repeated.
            timeout: seconds to connect, and to wait for an answer.
        """
        self.url = url.rstrip("/")
        self._tries, self._timeout = tries, timeout
        self._key = key
        self._session = requests.Session()
        self._session.headers.update({"Authorization": f"Bearer {key}", "Accept": "application/json"})
        self._session.trust_env = False

    def search(self, query: dict[str, Any]) -> list[Offer]:
        """Return the offers that match `query`."""
        return Offer.read_list(_fields(self._call("search", "POST", "/api/v0/bundles/", query)).get("offers"))

    def create(self, offer_id: int, body: dict[str, Any]) -> int:
        """Rent `offer_id` and return the instance's id.

        Raises:
            OfferGone: someone else was faster.
            ReplyLost: it may have been rented; look for its label.
        """
        path = f"/api/v0/asks/{offer_id}/"
        made = _fields(self._call("create", "PUT", path, body, repeatable=False)).get("new_contract")
        if made is None:
            raise ReplyLost(f"Vast.ai answered PUT {path} without the id of what was rented")
        return int(made)

    def create_many(self, offer_ids: list[int], body: dict[str, Any]) -> None:
        """Rent each of `offer_ids` that is still there, in one call.

        The reply's form is not documented: look for the label to see what was rented.
        """
        self._call("create", "POST", "/api/v0/asks/bulk/", {**body, "ids": offer_ids}, repeatable=False)

    def instances(self, **equal: str | int) -> list[Instance]:
        """Return all instances of the account, or those whose stored columns `equal` the given values."""
        params = {"limit": "25", "select_cols": '["*"]'}
        if equal:
            params["select_filters"] = json.dumps({column: {"eq": value} for column, value in equal.items()})
        pages = self._pages("list", "/api/v1/instances/", params)
        return [found for page in pages for found in Instance.read_list(page.get("instances"))]

    def instance(self, instance_id: int) -> Instance | None:
        """Return one instance, or None where the API knows none of that id. The port map may be missing."""
        reply = self._call("show", "GET", f"/api/v0/instances/{instance_id}/", params={"owner": "me"})
        if "instances" not in _fields(reply):
            raise ReplyLost(f"Vast.ai's answer does not say whether there is an instance {instance_id}")
        row = reply["instances"]
        if isinstance(row, list):
            row = row[0] if row else None
        return None if row is None else Instance.read(row)

    def start(self, instance_id: int) -> None:
        """Ask a stopped instance to run."""
        self._call("manage", "PUT", f"/api/v0/instances/{instance_id}/", {"state": "running"})

    def stop(self, instance_id: int) -> None:
        """Ask an instance to halt; its disk still bills."""
        self._call("manage", "PUT", f"/api/v0/instances/{instance_id}/", {"state": "stopped"})

    def set_label(self, instance_id: int, label: str) -> None:
        """Change an instance's label."""
        self._call("manage", "PUT", f"/api/v0/instances/{instance_id}/", {"label": label})

    def change_bid(self, instance_id: int, price: float) -> None:
        """Change an interruptible instance's bid, in $/h for the whole machine."""
        path = f"/api/v0/instances/bid_price/{instance_id}/"
        self._call("bid", "PUT", path, {"client_id": "me", "price": price})

    def destroy(self, instance_ids: Iterable[int]) -> None:
        """Destroy instances; one that is gone already counts as destroyed."""
        ids = list(instance_ids)
        path = f"/api/v0/instances/{ids[0]}/" if len(ids) == 1 else "/api/v0/instances/"
        with suppress(NotFound):
            self._call("destroy", "DELETE", path, {} if len(ids) == 1 else {"instance_ids": ids})

    def ssh_keys(self) -> list[SshKey]:
        """Return the account's SSH keys."""
        try:
            reply = self._call("keys", "GET", "/api/v0/ssh/")
        except NotFound:
            return []
        return SshKey.read_list(reply.get("ssh_keys") if isinstance(reply, dict) else reply)

    def add_key(self, public_key: str) -> None:
        """Register a public key on the account; only instances made afterwards get it."""
        self._call("keys", "POST", "/api/v0/ssh/", {"ssh_key": public_key})

    def remove_key(self, key_id: int) -> None:
        """Remove a key from the account; one that is gone already counts as removed."""
        with suppress(NotFound):
            self._call("keys", "DELETE", f"/api/v0/ssh/{key_id}/")

    def attach_key(self, instance_id: int, public_key: str) -> None:
        """Add a public key to one instance, where the platform keeps it in authorized_keys."""
        self._call("attach", "POST", f"/api/v0/instances/{instance_id}/ssh/", {"ssh_key": public_key})

    def user(self) -> User:
        """Return the account of the key."""
        return User.read(self._call("user", "GET", "/api/v0/users/current/"))

    def charges(self, since: float, until: float) -> list[Charge]:
        """Return what the account was charged on the days from `since` to `until`, in epoch seconds.

        A row is one contract's of one day, and comes with a delay: what was just rented has none yet.
        """
        days = {"day": {"gte": int(since), "lte": int(until)}}
        pages = self._pages(
            "charges", "/api/v0/charges/", {"select_filters": json.dumps(days), "limit": "500"}
        )
        return [found for page in pages for found in Charge.read_list(page.get("results"))]

    def _pages(self, endpoint: str, path: str, params: dict[str, str]) -> Iterator[dict[str, Any]]:
        while True:
            page = _fields(self._call(endpoint, "GET", path, params=params))
            yield page
            if not page.get("next_token"):
                return
            params = {**params, "after_token": page["next_token"]}

    def _call(
        self,
        endpoint: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        params: dict[str, str] | None = None,
        repeatable: bool = True,
    ) -> Any:
        pace = _paces[self.url, self._key, endpoint]
        reads = method == "GET" or endpoint == "search"
        effect = "" if reads else "; its effect is unknown until the API answers again"
        waits = [
            min(_FIRST_WAIT * 2**each, 30.0) if repeatable else _PENALTY for each in range(self._tries - 1)
        ]
        pace.wait(SPACING[endpoint] + _MARGIN)
        name = f"{self.url} to {method} {path}"
        with _Patience(name, waits if repeatable else [], sum(self._timeout)) as patience:
            for attempt in range(self._tries):
                began = time.monotonic()
                try:
                    response = self._session.request(
                        method, self.url + path, json=body, params=params, timeout=self._timeout
                    )
                except requests.RequestException as error:
                    problem = type(error).__name__
                    if not repeatable or attempt == len(waits):
                        raise ReplyLost(f"no answer from {name} ({problem}){effect}") from None
                else:
                    problem = f"{response.status_code}"
                    again = response.status_code == requests.codes.too_many or (
                        repeatable and not _usable(response)
                    )
                    if not again or attempt == len(waits):
                        return _result(f"{method} {path}", response, effect, repeatable=repeatable)
                patience.failed(problem, time.monotonic() - began, waits[attempt:])
                jitter = random.uniform(0.5, 1) if repeatable else 1  # noqa: S311 - no secret
                time.sleep(waits[attempt] * jitter)
                pace.wait(SPACING[endpoint] + _MARGIN)
        raise AssertionError("unreachable: the last attempt returns or raises")


def _usable(response: requests.Response) -> bool:
    """Whether asking again could hardly give another answer."""
    if response.status_code in _TRANSIENT:
        return False
    return not response.ok or _body(response) is not None


def _body(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _fields(body: Any) -> dict[str, Any]:
    return body if isinstance(body, dict) else {}


def _result(call: str, response: requests.Response, effect: str, *, repeatable: bool) -> Any:
    body = _body(response)
    fields = _fields(body)
    if response.ok and body is not None and fields.get("success") is not False:
        return body
    status, code = response.status_code, str(fields.get("error") or "")
    text = fields.get("msg") or fields.get("message") or fields.get("detail") or response.text[:300]
    problem = (call, status, code, str(text))
    gone = any(words in f"{code} {text}" for words in _GONE_WORDS)
    if status in (401, 403) or code == "auth_error":
        raise Unauthorized(*problem)
    if status == requests.codes.too_many:
        raise RateLimited(*problem)
    if not repeatable and (gone or status in (404, 409, 410)):
        raise OfferGone(*problem)
    if status >= requests.codes.server_error or (response.ok and body is None):
        raise ReplyLost(f"{call} was answered with {status} and no usable body{effect}")
    if status == requests.codes.not_found:
        raise NotFound(*problem)
    raise ApiError(*problem)
