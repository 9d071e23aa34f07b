"""TLS for the front door: a certificate the user has, or one from a CA made up on the spot."""

from __future__ import annotations

import ssl
from pathlib import Path

ALPN = ["h2", "http/1.1"]


class TlsError(ValueError):
    """A certificate or key that cannot be used; the message names the file and the reason."""


def from_files(cert: str, key: str) -> ssl.SSLContext:
    """A context of a PEM certificate chain and its key. Raises TlsError."""
    for path in (cert, key):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise TlsError(f"{path}: cannot be read: {error.strerror}") from None
    context = _context()
    try:
        context.load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise TlsError(f"{cert}, {key}: not a PEM certificate with its key: {reason}") from None
    return context


def self_made(host: str, directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A context with a fresh certificate for `host` and localhost, and the file with the CA that signed it."""
    import trustme

    authority = trustme.CA()
    names = dict.fromkeys((host, "localhost", "127.0.0.1", "::1"))
    certificate = authority.issue_cert(*(name for name in names if name not in ("0.0.0.0", "::")))
    context = _context()
    certificate.configure_cert(context)
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return context, ca_file


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN)
    return context
