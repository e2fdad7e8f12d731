"""How grpcio listens: its options, and what secures its connections, from the settings."""

from typing import Final

import grpc

from ondeck_server.security.tls import CertificateReloader, Certificates, certificate_files
from ondeck_server.settings import ServerSettings
from ondeck_server.sockets import CannotListenError, address_of

MEBIBYTE: Final = 1 << 20
KIBIBYTE: Final = 1 << 10
NO_LIMIT: Final = (1 << 31) - 1  # as gRPC's core says it, in milliseconds
GZIP: Final = 1  # of gRPC's levels: gzip for a caller who takes it, nothing for others


def options(settings: ServerSettings) -> list[tuple[str, int]]:
    """List the options of a gRPC server.

    `grpc.minimal_stack` is not among them: it saves 5 % of an empty call, and takes the limits of message sizes and
    the age of connections away without a word.
    """
    return [
        ("grpc.max_receive_message_length", settings.max_message_mib * MEBIBYTE),
        ("grpc.max_send_message_length", settings.max_message_mib * MEBIBYTE),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        *_keepalive(settings),
        *_age(settings),
        ("grpc.http2.bdp_probe", 0),  # it costs every call pings, to learn of a network what the window says already
        ("grpc.http2.lookahead_bytes", settings.stream_window_kib * KIBIBYTE),
        *([("grpc.default_compression_level", GZIP)] if settings.compression == "gzip" else []),
    ]


def least_compressed(settings: ServerSettings) -> int:
    """Tell from how many bytes on an answer is to be compressed; grpcio must be told of each one below that."""
    return settings.compression_threshold_kib * KIBIBYTE if settings.compression == "gzip" else 0


def bind(server: grpc.aio.Server, settings: ServerSettings, port: int) -> int:
    """Let a server listen on a port (0: any), at the address and secured as the settings say; return the port.

    Raises:
        CannotListenError: the port is in use, or the host is none of this machine.
        InvalidCertificatesError: a file of the certificates is missing, or is not what it should be.
    """
    where = address_of(settings.host, port)
    files = certificate_files(settings)
    credentials = None if files is None else _credentials(CertificateReloader(files))
    try:
        if credentials is None:
            return server.add_insecure_port(where)
        return server.add_secure_port(where, credentials)
    except RuntimeError as failed:
        raise CannotListenError(where, "ONDECK_PORT or --port") from failed


def _keepalive(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.keepalive_time_ms", _ms(settings.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", _ms(settings.keepalive_timeout_seconds)),
        ("grpc.http2.ping_timeout_ms", _ms(settings.keepalive_timeout_seconds)),  # it is this one that closes
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),  # no limit to the server's own
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(settings.min_ping_interval_seconds)),
    ]


def _age(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_connection_age_ms", _ms(settings.max_connection_age_seconds) or NO_LIMIT),
        ("grpc.max_connection_age_grace_ms", _ms(settings.max_connection_age_grace_seconds) or NO_LIMIT),
        ("grpc.max_connection_idle_ms", _ms(settings.max_connection_idle_seconds) or NO_LIMIT),
    ]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _credentials(renewal: CertificateReloader) -> grpc.ServerCredentials:
    def renewed() -> grpc.ServerCertificateConfiguration | None:
        found = renewal.reload_if_changed()
        return None if found is None else _configured(found)

    return grpc.dynamic_ssl_server_credentials(
        _configured(renewal.initial),
        renewed,  # type: ignore[arg-type]  # None is "as before", which the stubs leave out
        require_client_authentication=renewal.initial.client_ca is not None,
    )


def _configured(held: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(held.key, held.certificate)], held.client_ca)
