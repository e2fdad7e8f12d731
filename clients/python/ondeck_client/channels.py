"""The channels of a client: one for each health name that its calls need. They share their connections."""

import ipaddress
import re
import threading
from collections.abc import Callable
from enum import Enum, auto
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


class Attempts(Enum):
    """Attempts of a call that gRPC makes on a channel: all, the first one, or the later ones after a first one.

    gRPC retries a call that it does not send since no server is healthy, as it does one that a server refuses. A first
    attempt without retries separates the two at once.
    """

    ALL = auto()
    FIRST = auto()
    LATER = auto()


class Channels(Generic[C]):
    """Opens channels to one server on first use; threads may share it.

    `health` is the name that a server must report as SERVING to get calls; CALLED: that of the called model or service.
    """

    def __init__(self, open_channel: Callable[[str | None, Attempts], C], health: str | None) -> None:
        self._open = open_channel
        self._health = health
        self._lock = threading.Lock()
        self._channels: dict[tuple[str | None, Attempts], C] = {}

    @property
    def opened(self) -> list[C]:
        """The channels that are open."""
        return list(self._channels.values())

    @property
    def is_per_call(self) -> bool:
        """Whether each call needs the health of what it calls, and is sent unchecked where no server has it."""
        return self._health == CALLED

    def of_call(self, name: str, *, is_checked: bool = True, attempts: Attempts = Attempts.ALL) -> C:
        """Return the channel of a call that uses `name`; without a check one that sends calls to any server.

        All attempts of a call are made on one channel unless each call needs its own health.
        """
        health = (name if is_checked else None) if self.is_per_call else self._health
        with self._lock:
            key = health, attempts if self.is_per_call else Attempts.ALL
            if len(self._channels) > MAX_CHECKED and key not in self._channels:
                key = None, key[1]
            if key not in self._channels:
                self._channels[key] = self._open(*key)
            return self._channels[key]


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
