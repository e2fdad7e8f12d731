"""What is wrong with a connection: no server, another protocol, a certificate, or a proxy of the environment."""

import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
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


def describe_fault(details: str, target: str, *, is_tls: bool) -> str:
    """Return why a call that reached no server failed, given the details of its error; never a value of a variable."""
    fault = next((fault for text, fault in _FAULTS if text in details), None)
    if fault is None and "Socket closed" in details:
        fault = _closed_fault(target, is_tls=is_tls)
    proxy = proxy_variable(target, os.environ)
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


def _closed_fault(target: str, *, is_tls: bool) -> str | None:
    """Return what a server requires that accepts a connection and closes it."""
    if is_tls:
        return "{target} answers and closes the connection: it may require --certificate and --key"
    address = _ADDRESS.fullmatch(target)
    if address is None or not _uses_tls(address["host"].strip("[]"), int(address["port"])):
        return None
    return "{target} answers with TLS; name the CA of its certificate with --ca"


def _uses_tls(host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
    context.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection((host, port), timeout=_PROBE_SECONDS) as raw, context.wrap_socket(raw):
            return True
    except (OSError, ValueError):
        return False
