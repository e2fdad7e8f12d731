"""The channels of a client: one for each health name that its calls need. They share their connections."""

import ipaddress
import re
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from ondeck.v1.model_service_pb2 import DESCRIPTOR as MODEL_FILE
from ondeck.v1.player_service_pb2 import DESCRIPTOR as PLAYER_FILE

CALLED: Final = "*"  # the health of what each call uses
MODELS: Final = MODEL_FILE.services_by_name["ModelService"].full_name
PLAYERS: Final = PLAYER_FILE.services_by_name["PlayerService"].full_name
MAX_CHECKED: Final = 64  # health names of one client; calls that need more are sent unchecked

_SCHEME: Final = re.compile(r"(?:dns|ipv4|ipv6):(?://[^/]*/)?")
_PORT: Final = re.compile(r":[\w-]+$")
_LOCAL_NAME: Final = re.compile(r"(?:.+\.)?localhost\.?|ip6-localhost|127(?:\.\d+){0,3}", re.IGNORECASE)

C = TypeVar("C")


class Channels(Generic[C]):
    """Opens channels to one server on first use; threads may share it.

    `health` is the name that a server must report as SERVING to get calls; CALLED: that of the called model or service.
    """

    def __init__(self, open_channel: Callable[[str | None], C], health: str | None) -> None:
        self._open = open_channel
        self._health = health
        self._lock = threading.Lock()
        self._channels: dict[str | None, C] = {}

    @property
    def opened(self) -> list[C]:
        """The channels that are open."""
        return list(self._channels.values())

    @property
    def is_per_call(self) -> bool:
        """Whether each call needs the health of what it calls, and is sent unchecked where no server has it."""
        return self._health == CALLED

    def of_call(self, name: str, *, is_checked: bool = True) -> C:
        """Return the channel of a call that uses `name`; without a check one that sends calls to any server."""
        health = (name if is_checked else None) if self.is_per_call else self._health
        with self._lock:
            if len(self._channels) > MAX_CHECKED and health not in self._channels:
                health = None
            if health not in self._channels:
                self._channels[health] = self._open(health)
            return self._channels[health]


def model_health(model: str, version: int | None, alias: str | None) -> str:
    """Return the health name of a model's version; by default that in production."""
    name = f"models/{model.strip().lower().replace('-', '_')}"
    if version is not None:
        return f"{name}/{version}"
    return name if alias is None else f"{name}@{alias}"


def is_loopback(target: str) -> bool:
    """Return whether every address of a gRPC target is on this machine, where no proxy can reach it."""
    if target.startswith(("unix:", "unix-abstract:", "vsock:")):
        return True
    hosts = [host_of(each) for each in _SCHEME.sub("", target, count=1).split(",")]
    return all(_LOCAL_NAME.fullmatch(host) or _is_local_address(host) for host in hosts)


def host_of(target: str) -> str:
    """Return the host of a target with one address: without scheme, port and brackets."""
    address = _SCHEME.sub("", target, count=1)
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else _PORT.sub("", address)


def _is_local_address(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback or address.is_unspecified
