"""The requests of pybaseball: recorded, then sent by this project, with a deadline; cancelled at any moment."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult
from requests.utils import default_user_agent

from ondeck_ingest.sources.base import SourceUnreachableError
from ondeck_runtime.redaction import redact
from ondeck_runtime.tasks import run_abandonable

MAX_HEADER_BYTES: Final = 1 << 16  # of a line, as in http.client
_OK: Final = 200
_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_HEADERS: Final = {"User-Agent": default_user_agent(), "Accept": "*/*"}  # as pybaseball sends them
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_PATCH_LOCK: Final = threading.Lock()
Patch = tuple[Any, Mapping[str, object]]  # a module (or another object) and its new attributes by name


class _RequestRecordedError(Exception):
    """pybaseball wants to send a request; the text is its URL."""


class RequestRecorder:
    """Replaces the `requests` module inside pybaseball; sends nothing."""

    def get(self, url: str, **_: object) -> NoReturn:
        """End the call of pybaseball."""
        raise _RequestRecordedError(url)


def record_request(call: Callable[[], object]) -> str | None:
    """Run a pybaseball call over a `RequestRecorder`; returns the URL, or None if pybaseball needs no request."""
    try:
        call()
    except _RequestRecordedError as recorded:
        return str(recorded)
    return None


@contextmanager
def patch_modules(*patches: Patch) -> Iterator[None]:
    """Replace attributes of modules inside the block; one thread at a time."""
    with _PATCH_LOCK:
        saved = [(module, {name: getattr(module, name) for name in values}) for module, values in patches]
        try:
            _set_attributes(patches)
            yield
        finally:
            _set_attributes(saved)


def _set_attributes(patches: Iterable[Patch]) -> None:
    for module, values in patches:
        for name, value in values.items():
            setattr(module, name, value)


async def send(url: str, timeout: float) -> bytes:  # noqa: ASYNC109  the deadline of a source is one of its settings
    """Send a GET request and return the body, decompressed.

    Names, certificates and proxies are those of the system and of the usual environment variables.

    Raises:
        SourceUnreachableError: no complete answer with status 200 within `timeout` seconds; the text has the server
            and the reason, and no password.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _get(url)
    except (aiohttp.ClientError, OSError, ValueError) as failed:  # ValueError: the URL or that of a proxy is invalid
        raise SourceUnreachableError(f"{_server_of(redact(url))} {_describe(failed)}") from failed


async def _get(url: str) -> bytes:
    connector = aiohttp.TCPConnector(resolver=_Resolver(), use_dns_cache=False, force_close=True, ssl=_tls_context())
    async with (
        aiohttp.ClientSession(
            connector=connector,
            trust_env=True,
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the deadline of `send` is the only one
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        ) as session,
        session.get(url) as response,
    ):
        if response.status != _OK:
            raise _StatusError(f"status {response.status} {response.reason}")
        return await response.read()


class _StatusError(aiohttp.ClientError):
    """The server answered with another status than 200."""


class _Resolver(AbstractResolver):
    """Resolves names by the system, which cannot cancel it: the thread of a cancelled request is left."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host."""
        found = await run_abandonable(lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=int(address[1]), family=kind, proto=protocol, flags=_NUMERIC
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


@cache
def _tls_context() -> ssl.SSLContext:
    """Return a context that trusts the system's CAs, those of certifi, and those that the environment names."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    for path in (Path(os.environ[name]) for name in _CA_VARIABLES if os.environ.get(name)):
        context.load_verify_locations(cafile=None if path.is_dir() else path, capath=path if path.is_dir() else None)
    return context


def _server_of(url: str) -> str:
    """Return scheme and host of a URL."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.partition("/")[0]


def _describe(failed: Exception) -> str:
    if isinstance(failed, TimeoutError):
        return "did not answer in time"
    if isinstance(failed, _StatusError):
        return f"answered with {failed}"
    if isinstance(failed, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return "cannot be reached through the proxy of the environment"
    if isinstance(failed, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return "broke off in the middle of its answer"
    if isinstance(failed, aiohttp.ClientResponseError):
        return "answered with no HTTP"
    return "cannot be reached"
