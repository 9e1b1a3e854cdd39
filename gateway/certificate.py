"""A key and a certificate that this machine signs itself; who has seen its fingerprint can trust it."""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path

_DAYS: Final = 825
"""As long as browsers put up with."""


def certificate(folder: Path, address: str) -> str:
    """Return the certificate (PEM) in `folder`, made with its key unless it is there for the address.

    Args:
        folder: gets `certificate.pem` and `key.pem`, the latter for its owner alone.
        address: an IP address or a host name.
    """
    path = folder / "certificate.pem"
    name = _name(address)
    if path.exists() and (folder / "key.pem").exists():
        there = x509.load_pem_x509_certificate(path.read_bytes())
        names = there.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if name in names and there.not_valid_after_utc > datetime.now(UTC) + timedelta(days=1):
            return path.read_text()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fragua gateway")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([name, *_LOOPBACK]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "key.pem", secret)
    _write(path, made.public_bytes(serialization.Encoding.PEM))
    return path.read_text()


def _name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


_LOOPBACK: Final = (_name("127.0.0.1"), _name("localhost"))


def _write(path: Path, data: bytes) -> None:
    """Leave `data` at `path`, whole or not at all, for its owner alone."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    new.replace(path)
