"""The control plane under `/_sim/`: for tests and rehearsals, from this machine only.

It orders faults, moves the clock, plays the other people of the market, and shows the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import report
from simulator.errors import APIError, invalid_args, no_such_instance
from simulator.faults import Faults, read_fault
from simulator.fields import number
from simulator.ledger import NANO, nano
from simulator.specs import MACHINE_FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from simulator.contracts import Contract
    from simulator.gate import CallLog
    from simulator.world import World

Body = dict[str, Any]


class Control:
    """The orders, each a method that takes the path's number and the body."""

    def __init__(self, world: World, faults: Faults, calls: CallLog) -> None:
        """Order things in `world`."""
        self.world, self.faults, self.calls = world, faults, calls

    async def ledger(self, _: int, __: Body) -> Body:
        """GET ledger: see `report.ledger_report`."""
        return report.ledger_report(self.world)

    async def show_faults(self, _: int, __: Body) -> Body:
        """GET fault: the API faults in force."""
        return {"faults": self.faults.every()}

    async def add_fault(self, _: int, body: Body) -> Body:
        """POST fault: one API fault; see `faults.Fault`."""
        self.faults.add(read_fault(body))
        return await self.show_faults(0, {})

    async def clear_faults(self, _: int, __: Body) -> Body:
        """DELETE fault: cancel all API faults."""
        self.faults.clear()
        return {"faults": []}

    async def clock(self, _: int, body: Body) -> Body:
        """POST clock: `scale` (virtual seconds per second), then `advance` (virtual seconds)."""
        scale, seconds = number(body, "scale"), number(body, "advance")
        if scale is not None:
            if scale <= 0:
                raise invalid_args("scale: must be positive.")
            self.world.clock.set_scale(scale)
        if seconds is not None:
            if seconds < 0:
                raise invalid_args("advance: time goes forward only.")
            await self.world.advance(seconds)
        return await self.show_clock(0, {})

    async def show_clock(self, _: int, __: Body) -> Body:
        """GET clock: the virtual time."""
        return {"now": self.world.settle(), "scale": self.world.clock.scale}

    async def take_offer(self, offer_id: int, body: Body) -> Body:
        """POST offers/{id}/take: for `seconds` (default for good), or `delist` it."""
        now = self.world.settle()
        offer = self.world.market.find(offer_id)
        if offer is None:
            raise APIError(404, "no_such_ask", f"There is no offer {offer_id}.")
        if body.get("delist"):
            self.world.market.orders.delisted.add(offer.index)
        else:
            seconds = number(body, "seconds")
            self.world.market.orders.taken[offer.index] = now + (seconds or 1e12)
        self.world.save_orders()
        self.world.review_all()
        return {"success": True}

    async def break_machine(self, machine_id: int, body: Body) -> Body:
        """POST machines/{id}/fault: `fault` by name, or null to heal it."""
        if self.world.market.machine(machine_id) is None:
            raise APIError(404, "no_such_machine", f"There is no machine {machine_id}.")
        fault = body.get("fault")
        if fault == "changed_port":
            for contract in self.world.contracts.live():
                if contract.machine_id == machine_id:
                    self.world.lifecycle.remap_ports(contract)
            await self.world.hosts.idle()
            return {"success": True}
        if fault is not None and fault not in MACHINE_FAULTS:
            raise invalid_args(f"fault: one of changed_port, {', '.join(MACHINE_FAULTS)}, null.")
        self.world.machine_faults[machine_id] = fault
        self.world.save_orders()
        return {"success": True}

    async def outbid(self, contract_id: int, _: Body) -> Body:
        """POST instances/{id}/outbid: somebody bids more; raising the bid or restore ends it."""

        def order(contract: Contract) -> None:
            if contract.bid is None:
                raise invalid_args("The instance is on demand; nobody can outbid it.")
            contract.outbid_floor = round(contract.bid * 1.25 + 0.001, 4)

        return self._order(contract_id, order)

    async def restore(self, contract_id: int, _: Body) -> Body:
        """POST instances/{id}/restore: the other bid goes away."""
        return self._order(contract_id, lambda contract: setattr(contract, "outbid_floor", 0.0))

    async def offline(self, contract_id: int, _: Body) -> Body:
        """POST instances/{id}/offline: its host loses its connection."""
        return self._order(contract_id, lambda contract: setattr(contract, "forced_offline", True))

    async def online(self, contract_id: int, _: Body) -> Body:
        """POST instances/{id}/online: the host is back."""
        return self._order(contract_id, lambda contract: setattr(contract, "forced_offline", False))

    async def exit(self, contract_id: int, _: Body) -> Body:
        """POST instances/{id}/exit: the container's main process ends."""
        return self._order(
            contract_id, lambda contract: self.world.lifecycle.exit(contract, self.world.settle())
        )

    async def price(self, _: int, body: Body) -> Body:
        """POST price: multiply all market prices, bids included, by `multiply`."""
        factor = number(body, "multiply")
        if factor is None or factor <= 0:
            raise invalid_args("multiply: expected a positive number.")
        self.world.settle()
        self.world.market.orders.price_factor *= factor
        self.world.save_orders()
        self.world.review_all()
        return {"price_factor": self.world.market.orders.price_factor}

    async def show_calls(self, _: int, __: Body) -> Body:
        """GET calls: API calls since the last reset, counted and listed."""
        return {"total": len(self.calls.calls), "counts": self.calls.counts(),
                "calls": self.calls.calls}  # fmt: skip

    async def reset_calls(self, _: int, __: Body) -> Body:
        """DELETE calls: start counting anew."""
        self.calls.calls.clear()
        return {"total": 0}

    async def credit(self, _: int, body: Body) -> Body:
        """POST credit: `add` dollars, or `set` what is left."""
        now, add, target = self.world.settle(), number(body, "add"), number(body, "set")
        amount = nano(add or 0.0)
        if target is not None:
            amount += nano(target) - self.world.ledger.credit(now)
        self.world.ledger.deposit(now, amount, "control plane")
        self.world.review_all()
        return {"credit": self.world.ledger.credit(now) / NANO}

    async def revoke_key(self, _: int, body: Body) -> Body:
        """POST revoke-key: make `key` unknown; without one, every key of the account."""
        doomed = [k for k in self.world.keys.of_account() if body.get("key") in (None, k.key)]
        for key in doomed:
            self.world.keys.revoke(key.id)
        return {"revoked": len(doomed)}

    def _order(self, contract_id: int, change: Callable[[Contract], None]) -> Body:
        now = self.world.settle()
        contract = self.world.contracts.get(contract_id)
        if contract is None:
            raise no_such_instance(contract_id)
        change(contract)
        self.world.lifecycle.review(contract, now)
        self.world.contracts.save(contract)
        return {"success": True, "actual_status": contract.status}


def control_routes(control: Control) -> list[Route]:
    """Return the routes under `/_sim/`."""
    table: list[tuple[str, str, Callable[[int, Body], Any]]] = [
        ("GET", "ledger", control.ledger),
        ("GET", "fault", control.show_faults),
        ("POST", "fault", control.add_fault),
        ("DELETE", "fault", control.clear_faults),
        ("GET", "clock", control.show_clock),
        ("POST", "clock", control.clock),
        ("POST", "offers/{id:int}/take", control.take_offer),
        ("POST", "machines/{id:int}/fault", control.break_machine),
        *(
            ("POST", f"instances/{{id:int}}/{order.__name__}", order)
            for order in (
                control.outbid,
                control.restore,
                control.offline,
                control.online,
                control.exit,
            )
        ),
        ("POST", "price", control.price),
        ("GET", "calls", control.show_calls),
        ("DELETE", "calls", control.reset_calls),
        ("POST", "credit", control.credit),
        ("POST", "revoke-key", control.revoke_key),
    ]
    return [Route(f"/_sim/{path}", _respond(order), methods=[method]) for method, path, order in table]


def _is_local(request: Request) -> bool:
    """Return whether this machine asks, and no container on it, nor a web page that a browser here shows."""
    is_near = request.client is not None and request.client.host in ("127.0.0.1", "::1")
    return is_near and request.url.hostname in ("127.0.0.1", "localhost", "::1")


def _respond(order: Callable[[int, Body], Any]) -> Any:
    async def respond(request: Request) -> Response:
        if not _is_local(request):
            return JSONResponse({"msg": "The control plane answers this machine only."}, 403)
        raw = await request.body()
        try:
            body = await request.json() if raw else {}
            if not isinstance(body, dict):
                raise invalid_args("expected a JSON object.")
            return JSONResponse(await order(request.path_params.get("id", 0), body))
        except APIError as error:
            return JSONResponse(error.body(), error.status)
        except ValueError:
            return JSONResponse(invalid_args("Invalid json body").body(), 400)

    return respond
