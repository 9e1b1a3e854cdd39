"""What the account owns besides contracts and money: SSH keys and environment secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.store import Store

SSH_KEY = "ssh key"


class Account:
    """The one user of the simulator."""

    user_id = 31_415

    def __init__(self, store: Store) -> None:
        """Work on what the store has."""
        self._store = store

    def ssh_keys(self) -> list[dict[str, Any]]:
        """Return the account's SSH keys, oldest first."""
        return [key for _, key in self._store.load(SSH_KEY)]

    def new_ssh_key(self, public_key: str, at: float) -> dict[str, Any]:
        """Return a key with a fresh id; it is not stored yet."""
        return {
            "id": self._store.next_id(SSH_KEY, 501),
            "user_id": self.user_id,
            "public_key": public_key,
            "created_at": at,
            "deleted_at": None,
        }

    def save_ssh_key(self, key: dict[str, Any]) -> None:
        """Keep a key in the account."""
        self._store.save(SSH_KEY, key["id"], key)

    def delete_ssh_key(self, number: int) -> None:
        """Forget a key."""
        self._store.delete(SSH_KEY, number)

    def secrets(self) -> dict[str, str]:
        """Return the variables that every new container gets."""
        return dict(self._store.setting("secrets", {}))

    def set_secrets(self, secrets: dict[str, str]) -> None:
        """Replace them."""
        self._store.set_setting("secrets", secrets)
