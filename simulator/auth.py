"""API keys: who is calling, and what that key may do."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.store import Store

KIND = "api key"


@dataclass
class Key:
    """One API key.

    Attributes:
        permissions: Vast's `{"api": {category: {}}}`; None allows everything.
        instance: the contract that a container's own key belongs to.
    """

    id: int
    key: str
    name: str
    created_at: float
    permissions: dict[str, Any] | None = None
    instance: int | None = None

    def allows(self, scope: str) -> bool:
        """Return whether the key may use calls of `scope`."""
        if self.instance is not None:
            return False
        return self.permissions is None or scope in self.permissions.get("api", {})


class Keys:
    """The account's keys; a revoked key is an unknown key."""

    def __init__(self, store: Store) -> None:
        """Read what the store has."""
        self._store = store
        self._keys = {number: Key(**body) for number, body in store.load(KIND)}

    def create(
        self,
        name: str,
        at: float,
        *,
        permissions: dict[str, Any] | None = None,
        instance: int | None = None,
    ) -> Key:
        """Make a new key."""
        number = self._store.next_id(KIND, 1001)
        key = Key(number, secrets.token_hex(32), name, at, permissions, instance)
        self._keys[number] = key
        self._store.save(KIND, number, asdict(key))
        return key

    def find(self, token: str) -> Key | None:
        """Return the key with this secret."""
        return next((key for key in self._keys.values() if key.key == token), None)

    def of_account(self) -> list[Key]:
        """Return the keys that people made, oldest first."""
        return [key for key in self._keys.values() if key.instance is None]

    def revoke(self, number: int) -> bool:
        """Forget a key; False if there is none."""
        if self._keys.pop(number, None) is None:
            return False
        self._store.delete(KIND, number)
        return True

    def revoke_instance(self, contract_id: int) -> None:
        """Forget the key of a contract's container."""
        for key in [key for key in self._keys.values() if key.instance == contract_id]:
            self.revoke(key.id)
