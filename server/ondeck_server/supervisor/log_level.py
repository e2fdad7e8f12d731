"""The admin page `/log-level`: GET returns the level of the server's log, POST changes it without a restart."""

import ipaddress
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web

from ondeck_runtime.logging import LEVELS, set_log_level
from ondeck_server.ipc.messages import SetLogLevel

_OF_OTHERS: Final = ("Origin", "Sec-Fetch-Site", "Forwarded", "X-Forwarded-For", "Via")  # of a browser or proxy

log = structlog.get_logger()


class LogLevelPage:
    """The level of the supervisor and of all workers; `announce` sends a message to the present and later workers.

    Only a program on this machine may change it: the admin port may listen on other addresses too, a page in a browser
    may send requests to this machine, and a proxy on this machine passes on those of others.
    """

    def __init__(self, level: str, announce: Callable[[SetLogLevel], None]) -> None:
        self._level = level
        self._announce = announce

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the page."""
        return [web.get("/log-level", self._get), web.post("/log-level", self._post)]

    async def _get(self, _: web.Request) -> web.Response:
        return web.Response(text=f"{self._level}\n")

    async def _post(self, request: web.Request) -> web.Response:
        if not is_local(request.remote) or any(name in request.headers for name in _OF_OTHERS):
            return web.Response(text="only a program on this machine may change the level\n", status=403)
        level = (await request.text()).strip().lower()
        if level not in LEVELS:
            return web.Response(text=f"the level is one of {', '.join(LEVELS)}\n", status=400)
        log.warning("log_level_changed", before=self._level, after=level)
        self._level = level
        set_log_level(level)
        self._announce(SetLogLevel(level=level))
        return web.Response(text=f"{level}\n")


def is_local(address: str | None) -> bool:
    """Return whether a request comes from this machine, by the address of its connection."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
