"""The key pair a Go agent signs its assertions with: it does not start without the two files (protocol 6.3)."""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE, PUBLIC = "private_key.pem", "public_key.pem"


def new_keys() -> tuple[bytes, bytes]:
    """A private and a public RSA key, PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, public


def write_keys(directory: str, keys: tuple[bytes, bytes]) -> tuple[str, str]:
    """Write a pair to a folder, the private key for its owner only; returns the two paths."""
    paths = (str(Path(directory) / PRIVATE), str(Path(directory) / PUBLIC))
    for path, pem, mode in zip(paths, keys, (0o600, 0o644), strict=True):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)  # it may have been there, for everybody
            file.write(pem)
    return paths
