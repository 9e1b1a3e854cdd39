"""The account: who one is and how much credit is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.ledger import NANO

if TYPE_CHECKING:
    from simulator.handlers.call import Call
    from simulator.world import World


def show_user(world: World, call: Call) -> dict[str, Any]:
    """GET users/current. `credit` is what can be spent."""
    return {
        "id": world.account.user_id,
        "email": "rehearsal@example.com",
        "email_verified": True,
        "username": "rehearsal",
        "fullname": "Rehearsal Account",
        "credit": round(world.ledger.credit(call.now) / NANO, 6),
        "balance": 0.0,
        "balance_threshold": 1.0,
        "balance_threshold_enabled": True,
        "billing_creditonly": 0,
        "can_pay": True,
        "has_billing": True,
        "has_payout": False,
        "ssh_key": None,
    }
