"""TLS for the connections, with the certificates of the moment."""

import os
import ssl
from typing import Final

from ondeck_server.security.tls import CertificateReloader, Certificates

_HTTP2: Final = ["h2"]


def secured(renewal: CertificateReloader) -> ssl.SSLContext:
    """Make what secures connections; each handshake looks whether the certificates were renewed."""
    latest = _context(renewal.initial)

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, _: str | None, __: ssl.SSLContext) -> None:
        nonlocal latest
        renewed = renewal.reload_if_changed()
        if renewed is not None:
            latest = _context(renewed)
        connection.context = latest

    first = _context(renewal.initial)
    first.sni_callback = choose
    return first


def _context(held: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_HTTP2)
    _load(context, held.certificate + b"\n" + held.key)
    if held.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=held.client_ca.decode("ascii", "ignore"))  # only comments are not ASCII
    return context


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Load what was verified; the ssl module reads files alone, so it is given one that has no name."""
    file = os.memfd_create("certificate")
    try:
        os.write(file, pem)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
