"""One TLS policy in the two forms it is needed in: for `ssl` (HTTP, bridge, proxies) and for grpcio. Opens no socket.

grpcio brings its own roots, not the operating system's, and lets nobody choose versions or ciphers for one channel. So
the system's store is handed to it as PEM, and what it cannot do the bridge does, which then speaks TLS in its place.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence

from watchmanager.errors import ConfigError, NotGrpcError, TLSError, WatchError
from watchmanager.policy import TLS

ALPN_GRPC = ("h2",)
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def context(tls: TLS, *, alpn: Sequence[str] = (), client_certificate: bool = True) -> ssl.SSLContext:
    """A context that follows the policy: server certificates are always checked, names too.

    `client_certificate` False leaves `cert` out: it is for the server, not for a proxy on the way. Raises ConfigError
    naming the setting.
    """
    made = ssl.create_default_context(cadata=_text(tls, "ca") if tls.ca is not None else None)
    if tls.ca is None and system_roots() is None:
        made.load_verify_locations(cadata=_bundled().decode("ascii"))
    if tls.extra_ca is not None:
        made.load_verify_locations(cadata=_text(tls, "extra_ca"))
    made.minimum_version = _VERSIONS[tls.minimum_version]
    # Renegotiation is gone from TLS 1.3 and not needed in 1.2; without it writing never has to wait for reading.
    made.options |= ssl.OP_NO_RENEGOTIATION
    if tls.cert is not None and client_certificate:
        _load_certificate(made, tls)
    if tls.ciphers is not None:
        try:
            made.set_ciphers(tls.ciphers)
        except ssl.SSLError:
            raise ConfigError(
                f"TLS.ciphers is {tls.ciphers!r}: OpenSSL knows no such suite; write names such as "
                "ECDHE-ECDSA-AES256-GCM-SHA384, joined by colons"
            ) from None
        weak = [each["name"] for each in made.get_ciphers() if _protects_nothing(each["description"])]
        if weak:
            raise ConfigError(f"TLS.ciphers is {tls.ciphers!r}: {', '.join(weak)} would protect nothing")
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


def _protects_nothing(description: str) -> bool:
    """Whether a suite does without authentication or encryption, as OpenSSL describes it."""
    return "Au=None" in description or "Enc=None" in description


def _bundled() -> bytes:
    """The roots that come with httpx, for a system that has none of its own."""
    from pathlib import Path

    import certifi

    return Path(certifi.where()).read_bytes()


def _text(tls: TLS, name: str) -> str:
    data = tls.read(name)  # type: ignore[arg-type]
    assert data is not None
    try:
        text = data.decode("ascii")
        ssl.create_default_context(cadata=text)
    except (UnicodeDecodeError, ssl.SSLError, ValueError) as error:
        raise ConfigError(f"TLS.{name}: {getattr(tls, name)!r} cannot be used: {_reason(error)}") from None
    return text


def _load_certificate(made: ssl.SSLContext, tls: TLS) -> None:
    assert tls.cert is not None
    tls.read("cert")
    tls.read("key")
    try:
        # An encrypted key would make OpenSSL ask for its password on the terminal.
        made.load_cert_chain(tls.cert, tls.key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(
            f"TLS.cert and TLS.key: {tls.cert!r} and {tls.key!r} cannot be used: {_reason(error)}; "
            "write a PEM certificate and its key without a password"
        ) from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error or type(error).__name__).replace("_", " ").lower()


def beyond_grpcio(tls: TLS) -> str | None:
    """What in the policy grpcio cannot do, None when it can do everything."""
    if tls.minimum_version != "1.2":
        return f"TLS.minimum_version is {tls.minimum_version}"
    if tls.ciphers is not None:
        return "TLS.ciphers is set"
    return None


def roots(tls: TLS) -> bytes:
    """The trusted roots as PEM for grpcio: the same that `context` trusts. Raises ConfigError."""
    trusted = _text(tls, "ca").encode("ascii") if tls.ca is not None else system_roots() or _bundled()
    return trusted if tls.extra_ca is None else trusted + b"\n" + _text(tls, "extra_ca").encode("ascii")


def system_roots() -> bytes | None:
    """The roots of the operating system as PEM, as `ssl` finds them; `SSL_CERT_FILE` and `SSL_CERT_DIR` count."""
    found = ssl.create_default_context()
    ders = found.get_ca_certs(binary_form=True)
    if ders:
        return "".join(ssl.DER_cert_to_PEM_cert(each) for each in ders).encode("ascii")
    # A directory is read by OpenSSL one certificate at a time, when needed: those are not in the list.
    folder = ssl.get_default_verify_paths().capath
    if folder is None or not os.path.isdir(folder):
        return None
    from pathlib import Path

    pems = []
    for name in sorted(os.listdir(folder)):
        if not name.endswith((".pem", ".crt")):
            continue
        try:
            data = Path(folder, name).read_bytes()
        except OSError:
            continue
        if b"-----BEGIN CERTIFICATE" in data:
            pems.append(data)
    return b"\n".join(pems) or None


def translate(error: Exception, peer: str, name: str | None) -> WatchError:
    """A failed handshake with `peer` as an error for people; `name` is what the certificate was to be for."""
    if isinstance(error, ssl.SSLCertVerificationError):
        words = error.verify_message or "it does not verify"
        if "mismatch" in words.lower():
            return TLSError(f"the certificate of {peer} is not for {name}: {words}", details=words)
        return TLSError(f"the certificate of {peer} is not trusted: {words}", details=words)
    reason = getattr(error, "reason", None) or ""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"):
        return NotGrpcError(f"{peer} does not speak TLS ({_words(reason)})", details=reason)
    if reason in _REFUSALS:
        return TLSError(f"no TLS with {peer}: {_REFUSALS[reason]} ({_words(reason)})", details=reason)
    if isinstance(error, (ssl.SSLEOFError, ConnectionError, EOFError)) or not reason:
        words = reason or type(error).__name__
        return TLSError(f"{peer} closed the connection during the TLS handshake", details=words)
    return TLSError(f"no TLS with {peer}: {_words(reason)}", details=reason)


def _words(reason: str) -> str:
    return reason.replace("_", " ").lower()


_NO_VERSION = "no version of TLS that both allow"
_OUR_CERTIFICATE = "it refuses our client certificate or wants one"
_REFUSALS = {
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": _NO_VERSION,
    "WRONG_SSL_VERSION": _NO_VERSION,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refuses what we offer: no common cipher or version, or it wants a certificate",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": "it refuses our ciphers",
    "NO_SHARED_CIPHER": "no common cipher",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _OUR_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": _OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": _OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _OUR_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": _OUR_CERTIFICATE,
    "TLSV1_ALERT_DECRYPT_ERROR": _OUR_CERTIFICATE,
    "TLSV1_ALERT_ACCESS_DENIED": _OUR_CERTIFICATE,
    "TLSV1_UNRECOGNIZED_NAME": "it serves no such name",
    "SSLV3_ALERT_UNRECOGNIZED_NAME": "it serves no such name",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "it offers no HTTP/2",
    "TLSV1_ALERT_INTERNAL_ERROR": "it failed",
}
"""What OpenSSL calls a refusal, and what it means. The alert names are the peer's, "SSLv3" in them is history."""
