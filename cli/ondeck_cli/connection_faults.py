"""What is wrong with a connection: no server, another protocol, a certificate, or a proxy of the environment."""

import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum, auto
from typing import Final

from ondeck_client.channels import host_of, is_loopback

_PROXIES: Final = ("grpc_proxy", "https_proxy", "http_proxy")  # as gRPC reads them, the first that is set
_EXCEPTIONS: Final = ("no_grpc_proxy", "no_proxy")
_PROBE_SECONDS: Final = 2.0
_ADDRESS: Final = re.compile(r"(?:dns:(?:///)?)?(?P<host>\[[^\]]+\]|[^:/\[\]]+):(?P<port>\d{1,5})")
_FAULTS: Final = (  # texts of gRPC, and what they mean
    ("WRONG_VERSION_NUMBER", "{target} answers without TLS; leave out --ca, --certificate and --key"),
    ("CERTIFICATE_VERIFY_FAILED", "{target} answers, but the CA of --ca did not sign its certificate"),
    ("Hostname Verification", "{target} answers, but its certificate is for another host name"),
    ("Failed parsing HTTP/2", "{target} answers, but it is no gRPC server"),
    ("before receiving SETTINGS", "{target} accepts connections and does not answer"),
    ("errors resolving", "{target} cannot be found: its host name has no address"),
)
_NO_SERVER: Final = "no Ondeck server answers at {target}; start one with: ondeck up"


class _Listener(Enum):
    """What accepts connections at an address, as a TLS handshake shows it."""

    ABSENT = auto()
    PLAINTEXT = auto()
    TLS = auto()
    CLOSING = auto()  # it closes the connection before it answers the handshake


_TLS_ERRORS: Final = {  # reasons of OpenSSL; any other is an alert, which only a TLS server sends
    "WRONG_VERSION_NUMBER": _Listener.PLAINTEXT,
    "UNEXPECTED_EOF_WHILE_READING": _Listener.CLOSING,
}
_CERTIFICATE_REQUIRED: Final = "{target} answers and closes the connection: it may require --certificate and --key"
_LISTENERS: Final = {  # by whether the call used TLS
    (_Listener.TLS, True): _CERTIFICATE_REQUIRED,
    (_Listener.CLOSING, True): _CERTIFICATE_REQUIRED,
    (_Listener.PLAINTEXT, True): "{target} answers without TLS; leave out --ca, --certificate and --key",
    (_Listener.TLS, False): "{target} answers with TLS; name the CA of its certificate with --ca",
    (_Listener.CLOSING, False): "{target} accepts connections and closes them",
    (_Listener.PLAINTEXT, False): "{target} accepts connections and closes them",
}


def describe_fault(details: str, target: str, *, is_tls: bool) -> str:
    """Return why a call that reached no server failed, given the details of its error; never a value of a variable.

    Where the details name no fault, one connection is made: how gRPC words a closed connection depends on timing.
    """
    proxy = proxy_variable(target, os.environ)
    fault = next((fault for text, fault in _FAULTS if text in details), None)
    if fault is None and proxy is None and "Connection refused" not in details:
        fault = _LISTENERS.get((_find_listener(target), is_tls))
    hint = (
        f"; the environment's {proxy} makes gRPC call it through a proxy, unless no_grpc_proxy lists the host"
        if proxy
        else ""
    )
    return (fault or _NO_SERVER).format(target=target) + hint


def proxy_variable(target: str, environment: Mapping[str, str]) -> str | None:
    """Return the variable that names the proxy for a target; None: it is called directly."""
    if is_loopback(target):
        return None
    variable = next((name for name in _PROXIES if environment.get(name)), None)
    exceptions = next((environment[name] for name in _EXCEPTIONS if environment.get(name)), "")
    host = host_of(target)
    is_excepted = any(_matches(host, each.strip()) for each in exceptions.split(",") if each.strip())
    return None if is_excepted else variable


def _matches(host: str, exception: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception, strict=False)
    return host.lower().endswith(exception.lower())


def _find_listener(target: str) -> _Listener:
    address = _ADDRESS.fullmatch(target)
    if address is None:
        return _Listener.ABSENT
    try:
        connection = socket.create_connection((address["host"].strip("[]"), int(address["port"])), _PROBE_SECONDS)
    except ConnectionResetError:
        return _Listener.CLOSING
    except (OSError, OverflowError):
        return _Listener.ABSENT
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
    context.set_alpn_protocols(["h2"])
    try:
        with connection, context.wrap_socket(connection) as handshaken:  # of a connection that is closed: no handshake
            return _Listener.TLS if handshaken.version() else _Listener.CLOSING
    except ssl.SSLError as error:
        return _TLS_ERRORS.get(error.reason or "", _Listener.TLS)
    except OSError:
        return _Listener.CLOSING
