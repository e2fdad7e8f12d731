"""Options and credentials of grpcio's server, from the settings."""

from typing import Final

import grpc

from ondeck_server.security.tls import CertificateReloader, Certificates, certificate_files
from ondeck_server.settings import ServerSettings
from ondeck_server.sockets import CannotListenError, address_of

_MEBIBYTE: Final = 1 << 20
_KIBIBYTE: Final = 1 << 10
_NO_LIMIT: Final = (1 << 31) - 1  # milliseconds, as gRPC's C core defines it
_GZIP: Final = 1  # compression level: gzip for callers that accept it


def server_options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Return the channel arguments.

    `grpc.minimal_stack` is not among them: it saves 5 % of an empty call, but silently removes the limits of message
    size and connection age.
    """
    return [
        ("grpc.max_receive_message_length", settings.max_message_mib * _MEBIBYTE),
        ("grpc.max_send_message_length", settings.max_message_mib * _MEBIBYTE),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        *_keepalive(settings),
        *_connection_age(settings),
        ("grpc.http2.bdp_probe", 0),  # costs pings on every call to measure what the configured window defines
        ("grpc.http2.lookahead_bytes", settings.stream_window_kib * _KIBIBYTE),
        *([("grpc.default_compression_level", _GZIP)] if settings.compression == "gzip" else []),
    ]


def compression_threshold(settings: ServerSettings) -> int:
    """Return the smallest response in bytes that is compressed; 0: compression is off."""
    return settings.compression_threshold_kib * _KIBIBYTE if settings.compression == "gzip" else 0


def bind(server: grpc.aio.Server, settings: ServerSettings, port: int) -> int:
    """Add a port, with TLS if it is configured, and return it; 0: any free port.

    Raises:
        CannotListenError: the port is in use, or the host is not an address of this machine.
        InvalidCertificatesError: a certificate file is missing or invalid.
    """
    address = address_of(settings.host, port)
    files = certificate_files(settings)
    credentials = None if files is None else _credentials(CertificateReloader(files))
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise CannotListenError(address, "ONDECK_PORT or --port") from error


def _keepalive(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.keepalive_time_ms", _ms(settings.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", _ms(settings.keepalive_timeout_seconds)),
        ("grpc.http2.ping_timeout_ms", _ms(settings.keepalive_timeout_seconds)),  # the one that closes the connection
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),  # no limit to the server's own pings
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(settings.min_ping_interval_seconds)),
    ]


def _connection_age(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_connection_age_ms", _ms(settings.max_connection_age_seconds) or _NO_LIMIT),
        ("grpc.max_connection_age_grace_ms", _ms(settings.max_connection_age_grace_seconds) or _NO_LIMIT),
        ("grpc.max_connection_idle_ms", _ms(settings.max_connection_idle_seconds) or _NO_LIMIT),
    ]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _credentials(reloader: CertificateReloader) -> grpc.ServerCredentials:
    def reload() -> grpc.ServerCertificateConfiguration | None:
        changed = reloader.reload_if_changed()
        return None if changed is None else _configuration(changed)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(reloader.initial),
        reload,  # type: ignore[arg-type]  # None keeps the current one, which the stubs omit
        require_client_authentication=reloader.initial.client_ca is not None,
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificates.key, certificates.certificate)], certificates.client_ca
    )
