"""A call as a handler sees it: whatever carries it, it knows no more than this."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call. `metadata` holds the caller's text headers; `time_left` gives seconds, None without a deadline.

    `peer` is the caller's address as the transport writes it; `identity` is whom mutual TLS has shown the caller to be,
    empty where nobody has shown anything.
    """

    method: str
    correlation_id: str
    metadata: Mapping[str, str]
    peer: str
    time_left: Callable[[], float | None]
    cancelled: Callable[[], bool]
    identity: str = ""
