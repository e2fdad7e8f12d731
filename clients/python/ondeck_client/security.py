"""How a client sees that it speaks with the right server, and shows who it is itself."""

from pathlib import Path

import grpc


def tls(
    ca: Path | str | None = None, certificate: Path | str | None = None, key: Path | str | None = None
) -> grpc.ChannelCredentials:
    """Make the credentials of a connection from files in PEM.

    Args:
        ca: authorities, one of which must have signed the server's certificate; None: those that gRPC knows.
        certificate: the client's own certificate chain, for a server that asks for one.
        key: its private key, without a password.

    Raises:
        OSError: a file cannot be read.
        ValueError: a certificate without its key, or a key without its certificate.
    """
    if (certificate is None) != (key is None):
        raise ValueError("a certificate needs its key, and a key its certificate")
    held = [None if path is None else Path(path).read_bytes() for path in (ca, key, certificate)]
    return grpc.ssl_channel_credentials(*held)
