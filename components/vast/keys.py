"""A stack's own SSH key on the account. Knows no Pulumi."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from components.errors import ApiError

if TYPE_CHECKING:
    from components.vast.client import Api


def generate(comment: str) -> tuple[str, str]:
    """Make an ed25519 key and return its private part (OpenSSH PEM) and public part (with `comment`)."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return private, f"{public} {comment}"


def register(api: Api, public_key: str) -> bool:
    """Put `public_key` on the account once; return whether it is there.

    Team-scoped API keys may not hold SSH keys: then only the instances get it, one by one.
    """
    if registered(api, public_key):
        return True
    try:
        api.add_key(public_key)
    except ApiError as error:
        if error.code == "team_ssh_keys_not_supported":
            return False
        raise
    return True


def registered(api: Api, public_key: str) -> bool:
    """Return whether the account holds `public_key`."""
    return any(_same(key.public_key, public_key) for key in api.ssh_keys())


def remove(api: Api, public_key: str) -> None:
    """Remove every entry of `public_key` from the account."""
    for key in api.ssh_keys():
        if _same(key.public_key, public_key):
            api.remove_key(key.id)


def _same(one: str, other: str) -> bool:
    return one.split()[:2] == other.split()[:2]
