"""TLS for the front door: a certificate the user has, or one from a CA made up on the spot."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme

    from mockcentral._core.actions import TlsFlaw

ALPN = ["h2", "http/1.1"]


def below(transport: asyncio.BaseTransport) -> asyncio.Transport | None:
    """The transport of the socket below asyncio's TLS; None where there is none, or it is not to be found."""
    found = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)  # there is no public way to it
    return found if isinstance(found, asyncio.Transport) else None


def left_to_write(transport: asyncio.Transport, below: asyncio.Transport) -> int:
    """Bytes that wait in TLS, which does not count those that it has handed on, and below it."""
    left = below.get_write_buffer_size()
    if sys.version_info >= (3, 11):  # before, TLS keeps nothing and answers for what is below
        left += transport.get_write_buffer_size()
    return left


class TlsError(ValueError):
    """A certificate or key that cannot be used; the message names the file and the reason."""


class Tls:
    """How the front door shakes hands: well (`context`), or with one thing wrong (`flawed`).

    `authority` is who signed the certificate, None when the user brought it: then flawed ones have a signer that the
    client does not know either.
    """

    def __init__(self, context: ssl.SSLContext, names: tuple[str, ...], authority: trustme.CA | None = None) -> None:
        self.context = context
        self._names = names
        self._authority = authority
        self._flawed: dict[str, ssl.SSLContext] = {}

    def flawed(self, flaw: TlsFlaw) -> ssl.SSLContext:
        """A context with this flaw; made once."""
        if flaw not in self._flawed:
            self._flawed[flaw] = self._make(flaw)
        return self._flawed[flaw]

    def _make(self, flaw: TlsFlaw) -> ssl.SSLContext:
        context = _context()
        if flaw == "no_alpn":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
        now = datetime.datetime.now(datetime.timezone.utc)
        day = datetime.timedelta(days=1)
        # Far enough back and ahead for clients whose clocks are off by hours.
        since, until = {
            "expired": (now - 30 * day, now - 2 * day),
            "not_yet_valid": (now + 2 * day, now + 30 * day),
        }.get(flaw, (now - 2 * day, now + 30 * day))
        names = ("wrong.invalid",) if flaw == "wrong_name" else self._names
        authority = self._stranger if flaw == "unknown_ca" else self._authority or self._stranger
        authority.issue_cert(*names, not_before=since, not_after=until).configure_cert(context)
        return context

    @cached_property
    def _stranger(self) -> trustme.CA:
        """An authority nobody trusts."""
        import trustme

        return trustme.CA(organization_name="Nobody you know")


def from_files(cert: str, key: str) -> Tls:
    """How to shake hands with a PEM certificate chain and its key. Raises TlsError."""
    for path in (cert, key):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise TlsError(f"{path}: cannot be read: {error.strerror}") from None
    context = _context()
    try:
        context.load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, OSError) as error:
        raise TlsError(f"{cert}, {key}: not a PEM certificate with its key: {_reason(error, cert, key)}") from None
    return Tls(context, ("localhost", "127.0.0.1", "::1"))


def _reason(error: OSError, cert: str, key: str) -> str:
    """What OpenSSL means by it."""
    told = getattr(error, "reason", None)
    if told == "KEY_VALUES_MISMATCH":
        return "the key is another certificate's"
    if b"BEGIN CERTIFICATE" not in Path(cert).read_bytes():
        return f"{cert} holds no certificate"
    secret = Path(key).read_bytes()
    if b"PRIVATE KEY" not in secret:
        return f"{key} holds no private key"
    if b"ENCRYPTED" in secret:
        return f"{key} needs a passphrase: write it without one (openssl pkey -in {key} -out plain.pem)"
    return str(told or "one of them is damaged")


def self_made(host: str, directory: Path) -> tuple[Tls, Path]:
    """How to shake hands with a fresh certificate for `host` and localhost, and the file with the CA that signed it."""
    import trustme

    authority = trustme.CA()
    names = tuple(
        name for name in dict.fromkeys((host, "localhost", "127.0.0.1", "::1")) if name not in ("0.0.0.0", "::")
    )
    certificate = authority.issue_cert(*names)
    context = _context()
    certificate.configure_cert(context)
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return Tls(context, names, authority), ca_file


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN)
    return context
