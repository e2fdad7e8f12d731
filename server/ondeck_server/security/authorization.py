"""Who may change what serves: move aliases, load and unload models."""

from collections.abc import Collection

from ondeck_core.errors import OndeckError
from ondeck_server.security.identity import Caller


class CallerUnauthenticatedError(OndeckError):
    """Only operators may do this, and the caller has not shown who it is."""


class NotOperatorError(OndeckError):
    """Only operators may do this, and the caller is none."""


class OperatorList:
    """The identities that may; none at all: everyone may."""

    def __init__(self, identities: Collection[str]) -> None:
        self._identities = frozenset(identities)

    def authorize(self, caller: Caller) -> None:
        """Let an operator pass.

        Raises:
            CallerUnauthenticatedError: the caller has shown no identity.
            NotOperatorError: the identity is no operator's.
        """
        if not self._identities or caller.identity in self._identities:
            return
        if not caller.identity:
            raise CallerUnauthenticatedError("only operators may do this: connect with the client certificate of one")
        raise NotOperatorError(
            f"{caller.identity!r} may not do this; have it added to the server's setting ONDECK_OPERATORS, or ask one"
        )
