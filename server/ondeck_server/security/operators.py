"""Operators: the callers that may move aliases and load or unload models."""

from collections.abc import Collection

from ondeck_core.errors import OndeckError
from ondeck_server.security.identity import Caller


class CallerUnauthenticatedError(OndeckError):
    """The operation needs an operator, and the caller has no identity."""


class NotOperatorError(OndeckError):
    """The operation needs an operator, and the caller is none."""


class OperatorList:
    """Identities of the operators; an empty list permits every caller."""

    def __init__(self, identities: Collection[str]) -> None:
        self._identities = frozenset(identities)

    def authorize(self, caller: Caller) -> None:
        """Check that a caller is an operator.

        Raises:
            CallerUnauthenticatedError: the caller has no identity.
            NotOperatorError: its identity is not in the list.
        """
        if not self._identities or caller.identity in self._identities:
            return
        if not caller.identity:
            raise CallerUnauthenticatedError("this needs an operator: connect with the client certificate of one")
        raise NotOperatorError(
            f"{caller.identity!r} is not an operator; add it to the server's setting ONDECK_OPERATORS"
        )
