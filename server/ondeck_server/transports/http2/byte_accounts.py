"""Bytes of messages that a worker holds for its clients: accounts of connections, within those of addresses and all.

A message counts from its first byte to the end of its call. A connection may always hold a little, so that others that
exhaust the worker do not affect it.
"""

from collections.abc import Callable
from typing import Final

from ondeck_server.rpc.errors import BufferFullError
from ondeck_server.security.identity import Peer
from ondeck_server.transports.http2.rejection import RefusalReason, Refusals

OWN_BYTES: Final = 1 << 16  # that a connection holds without a charge to other accounts
_QUANTUM: Final = 1 << 18  # charged to other accounts at a time, so that most calls only add to that of the connection


class SharedAccount:
    """Bytes that all connections, or those of one address, hold beyond `OWN_BYTES` each."""

    def __init__(self, reason: RefusalReason, limit: int) -> None:
        self.reason = reason
        self.limit = limit
        self.used = 0
        self.members: set[ByteAccount] = set()  # that have a part in `used`

    def has_room(self, size: int) -> bool:
        """Return whether more bytes are within the limit."""
        return self.used + size <= self.limit

    def largest(self) -> "ByteAccount":
        """Return the connection that holds most."""
        return max(self.members, key=lambda each: each.used)


class ByteAccount:
    """The bytes of one connection. Calls change `used` themselves, and call a method only if it leaves its bounds."""

    def __init__(
        self,
        limit: int,
        shared: tuple[SharedAccount, ...],
        refusals: Refusals,
        peer: Peer,
        end: Callable[[RefusalReason], None],
    ) -> None:
        self.used = 0
        self.allowed = OWN_BYTES  # `extend` is due above it
        self.spare = -1  # `shrink` is due below it
        self.crowded = limit // 2  # above it streams wait for the client to read
        self._limit = limit
        self._shared = shared
        self._refusals = refusals
        self.peer = peer
        self._end = end

    def extend(self) -> None:
        """Charge the shared accounts until they cover what is used; end the connection that holds most if they cannot.

        Raises:
            BufferFullError: this connection exceeds its limit, or holds most itself.
        """
        if self.used > self._limit:
            raise self.refusal(RefusalReason.CONNECTION_BYTES)
        more = -(-(self.used - self.allowed) // _QUANTUM) * _QUANTUM
        for account in self._shared:
            while not account.has_room(more):
                largest = account.largest() if account.members else self
                if largest.used <= self.used:
                    raise self.refusal(account.reason)
                largest.end_connection(account.reason)
        self._charge(more)

    def shrink(self) -> None:
        """Return to the shared accounts what is no longer used."""
        unused = (self.allowed - max(self.used, OWN_BYTES)) // _QUANTUM * _QUANTUM
        self._charge(-unused)

    def close(self) -> None:
        """Return everything."""
        self.used = 0
        self._charge(OWN_BYTES - self.allowed)

    def end_connection(self, reason: RefusalReason) -> None:
        """End the connection, since it holds most and others need room."""
        self._end(reason)
        self.close()

    def _charge(self, size: int) -> None:
        self.allowed += size
        self.spare = self.allowed - 2 * _QUANTUM
        for account in self._shared:
            account.used += size
            if self.allowed > OWN_BYTES:
                account.members.add(self)
            else:
                account.members.discard(self)

    def refusal(self, reason: RefusalReason) -> BufferFullError:
        """Count a call that exceeds a limit, and return its error."""
        self._refusals.log_limit(self.peer, reason)
        return BufferFullError(f"the limit of {reason.value}")
