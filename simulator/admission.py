"""Whether a contract may hold its GPUs now: the one rule behind starting, outbidding and stopping."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.contracts import Contract, Contracts
    from simulator.ledger import Ledger
    from simulator.market import Market


class Admission:
    """Judges contracts by the market, the credit and each other; changes nothing."""

    def __init__(self, market: Market, ledger: Ledger, contracts: Contracts) -> None:
        """Judge by these."""
        self._market, self._ledger, self._contracts = market, ledger, contracts

    def obstacle(self, contract: Contract, at: float) -> str:
        """Return what keeps the contract from running at `at`, in words; nothing if it may run."""
        offer = self._market.offers[contract.offer_index]
        if self._ledger.credit(at) <= 0:
            return "Stopped: no credit left."
        if at >= contract.end_date:
            return "Stopped: the contract has reached its end date."
        if contract.bid is not None and contract.bid < self.winning_bid(contract, at):
            return "Stopped: outbid."
        if not self._slots_of_others(contract).isdisjoint(offer.gpus):
            return "Waiting: the GPUs are rented."
        # Nobody takes GPUs away from a running contract on demand; a bid gives way.
        is_safe = contract.bid is None and contract.cur_state == "running"
        if not is_safe and self._market.taken_by_others(offer, at):
            return "Waiting: the GPUs are rented."
        return ""

    def winning_bid(self, contract: Contract, at: float) -> float:
        """Return the $/h below which the contract's bid loses."""
        offer = self._market.offers[contract.offer_index]
        return max(self._market.min_bid(offer, at), contract.outbid_floor)

    def _slots_of_others(self, contract: Contract) -> set[int]:
        """Return the machine's GPU slots that the account's other contracts hold."""
        return {
            slot
            for other in self._contracts.live()
            if other.machine_id == contract.machine_id
            and other.id != contract.id
            and other.cur_state == "running"
            for slot in self._market.offers[other.offer_index].gpus
        }
