"""Requests that change or list aliases, and alias changes as messages."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from ondeck.v1.model_service_pb2 import AliasChange as AliasChangeMessage
from ondeck.v1.model_service_pb2 import (
    ListAliasChangesRequest,
    ListAliasChangesResponse,
    MoveAliasRequest,
    RollbackModelRequest,
)
from ondeck_core.errors import InvalidInstanceError, Violation
from ondeck_core.manifest import PRODUCTION
from ondeck_core.model_name_normalization import canonical
from ondeck_registry.alias_log import AliasChange
from ondeck_registry.aliases import AliasDecision, is_alias
from ondeck_server.rpc.context import CallContext
from ondeck_server.security.identity import caller_id

MAX_REASON: Final = 1000
MAX_PAGE_SIZE: Final = 1000
DEFAULT_PAGE_SIZE: Final = 100


def check(request: MoveAliasRequest | RollbackModelRequest | ListAliasChangesRequest) -> None:
    """Check a request.

    Raises:
        InvalidInstanceError: it is invalid; every invalid field is named.
    """
    found = [] if request.model else [Violation("model", "is required, for example 'batted_ball'")]
    if not is_alias(alias_of(request)):
        text = f"must be lower-case letters, digits and _, a letter first, at most 64; got {request.alias[:80]!r}"
        found.append(Violation("alias", text))
    if isinstance(request, MoveAliasRequest) and not request.version:
        found.append(Violation("version", "is required, at least 1"))
    if isinstance(request, ListAliasChangesRequest):
        if request.page_size > MAX_PAGE_SIZE:
            found.append(Violation("page_size", f"must be from 1 to {MAX_PAGE_SIZE}, got {request.page_size}"))
    elif not 0 < len(request.reason.strip()) <= MAX_REASON:
        found.append(Violation("reason", f"is required: at most {MAX_REASON} characters"))
    if found:
        raise InvalidInstanceError(found)


def alias_of(request: MoveAliasRequest | RollbackModelRequest | ListAliasChangesRequest) -> str:
    """Return the alias of a request; default: production."""
    return canonical(request.alias) or PRODUCTION


def decision_of(call: CallContext, reason: str, *, forced: bool = False) -> AliasDecision:
    """Return the decision of a caller, made now."""
    return AliasDecision(actor=caller_id(call), reason=reason.strip(), at=datetime.now(UTC), forced=forced)


def page(changes: Sequence[AliasChange], request: ListAliasChangesRequest) -> ListAliasChangesResponse:
    """Return a page of changes, the latest first.

    Raises:
        InvalidInstanceError: the page token is invalid.
    """
    selected = [each for each in changes if not request.alias or each.alias == alias_of(request)]
    size = request.page_size or DEFAULT_PAGE_SIZE
    begin = _index_after(selected, request.page_token) if request.page_token else 0
    shown = selected[begin : begin + size]
    has_more = begin + size < len(selected)
    return ListAliasChangesResponse(
        changes=[alias_change_message(each) for each in shown], next_page_token=shown[-1].id if has_more else ""
    )


def _index_after(changes: Sequence[AliasChange], token: str) -> int:
    indices = [index for index, each in enumerate(changes, 1) if each.id == token]
    if not indices:
        raise InvalidInstanceError([Violation("page_token", "must be the next_page_token of the previous page")])
    return indices[0]


def alias_change_message(change: AliasChange) -> AliasChangeMessage:
    """Return an alias change as a message."""
    return AliasChangeMessage(
        id=change.id,
        moved_at=change.moved_at.astimezone(UTC).isoformat(),
        actor=change.actor,
        model=change.model,
        alias=change.alias,
        from_version=change.from_version,
        to_version=change.to_version,
        reason=change.reason,
        forced=change.forced,
        rollback=change.rollback,
    )
