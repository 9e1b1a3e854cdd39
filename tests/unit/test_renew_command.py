"""`renew`, and what renews while a command runs."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cli import renew
from components.errors import FraguaError, Unreachable
from components.remote.shell import Login
from components.vast.lease import Lease, LeaseStatus, parse_status

MACHINES: dict[str, dict[str, Any]] = {
    name: {"login": {"host": name, "port": 22, "private_key": "canary-key", "host_key": "ssh-ed25519 AAAA"}}
    for name in ("node", "node-2", "node-3")
}


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The machines that were reached, in turn: the second one never is."""
    reached: list[str] = []

    def answer(login: Login, **_: object) -> LeaseStatus | None:
        if login.host == "node-2":
            raise Unreachable("node-2:22 does not answer SSH")
        reached.append(login.host)
        return parse_status(f"{Lease(idle=0).limits()}\nsince=60 alive=1\n") if login.host == "node" else None

    monkeypatch.setattr(renew, "renew", answer)
    return reached


def test_leases_are_renewed_meanwhile_and_not_afterwards(
    renewed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renew, "_EVERY", 0.01)
    before = set(threading.enumerate())
    with renew.kept(MACHINES):
        [keeper] = set(threading.enumerate()) - before
        deadline = time.monotonic() + 20
        while len(renewed) < 6:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    keeper.join(20)

    assert not keeper.is_alive()
    assert renewed[:4] == ["node", "node-3"] * 2


def test_each_machine_is_told_of_and_the_one_that_is_not_reached(
    renewed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(renew, "selected", lambda _root, stack: stack)
    monkeypatch.setattr(renew, "known", lambda _stack: {"machines": MACHINES})
    with pytest.raises(FraguaError, match=r"^not renewed: cats/node-2: node-2:22 does not answer SSH$"):
        renew.run(Path(), ["cats"])

    assert capsys.readouterr().out.splitlines() == [
        "cats/node: renewed; it ends itself in 24.0 h at the earliest (lease)",
        "cats/node-3: it was rented without a lease, and ends only when you end it",
    ]
