"""What `ondeck up` reads from the server's lines, and what it tells a person."""

import re
from dataclasses import dataclass

_ANNOUNCEMENT = re.compile(r"serving .+ on (?P<target>\S+); admin pages on (?P<admin>\S+)")


@dataclass(frozen=True, kw_only=True)
class ReadyLine:
    """Where a server says it listens: gRPC as host:port, the admin pages as an address."""

    target: str
    admin: str


def announced(line: str) -> ReadyLine | None:
    """Read the line with which `ondeck serve` says that it takes calls; None: it is another line."""
    found = _ANNOUNCEMENT.fullmatch(line)
    return None if found is None else ReadyLine(target=found["target"], admin=found["admin"])


def how_to_ask(server: ReadyLine, default: str) -> str:
    """Say what a person can do now; `default` is where `ondeck predict` asks when it is not told."""
    target = "" if server.target == default else f" --target {server.target}"
    return f"""
Ondeck is up. Ask it from another terminal:
  .venv/bin/ondeck predict batted-ball --launch-speed 108 --launch-angle 27 --spray-angle 0{target}
  .venv/bin/ondeck models list --target {server.target}
Health: grpc_health_probe -addr={server.target}, or {server.admin}/readyz
End it with Ctrl-C.
"""
