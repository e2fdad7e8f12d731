"""The routes of the dashboard on the admin port: the page with its files, and its JSON endpoints."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, TypeAlias

from aiohttp import web

API: Final = "/api/v1"
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
View: TypeAlias = Callable[[Mapping[str, str]], Awaitable[Mapping[str, Any]]]  # of the query


@dataclass(frozen=True, kw_only=True)
class StaticFile:
    """A file of the page: its content, media type and entity tag."""

    content: bytes
    media_type: str
    tag: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Return the files of the page by name."""
    folder = files("ondeck_server.dashboard") / "static"
    return {
        each.name: _static_file(each.read_bytes(), each.name.rpartition(".")[2])
        for each in folder.iterdir()
        if each.name.rpartition(".")[2] in _TYPES
    }


def _static_file(content: bytes, ending: str) -> StaticFile:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return StaticFile(content=content, media_type=_TYPES[ending], tag=tag)


def dashboard_routes(views: Mapping[str, View]) -> list[web.RouteDef]:
    """Return the routes: `/`, `/dashboard/<file>`, and `/api/v1/<view>` for each view, which gets the query."""
    return [
        web.get("/", _page),
        web.get("/dashboard/{name}", _file),
        *(web.get(f"{API}/{name}", _endpoint(view)) for name, view in views.items()),
    ]


async def _page(request: web.Request) -> web.Response:
    return _respond(request, static_files()["index.html"])


async def _file(request: web.Request) -> web.Response:
    found = static_files().get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound(headers=HEADERS)
    return _respond(request, found)


def _respond(request: web.Request, file: StaticFile) -> web.Response:
    headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": file.tag}
    if request.headers.get("If-None-Match") == file.tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.content, headers={**headers, "Content-Type": file.media_type})


def _endpoint(view: View) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def endpoint(request: web.Request) -> web.Response:
        body = json.dumps(await view(request.query), separators=(",", ":"), default=str)
        return web.Response(
            text=body, content_type="application/json", headers={**HEADERS, "Cache-Control": "no-store"}
        )

    return endpoint
