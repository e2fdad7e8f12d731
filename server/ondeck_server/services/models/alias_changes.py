"""Moves of aliases as they are asked for and told."""

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
from ondeck_core.identifiers import canonical
from ondeck_core.manifest import PRODUCTION
from ondeck_registry.alias_log import AliasChange
from ondeck_registry.aliases import AliasDecision, is_alias
from ondeck_server.rpc.context import CallContext
from ondeck_server.security.identity import caller_id

LONGEST_REASON: Final = 1000
LARGEST_PAGE: Final = 1000
USUAL_PAGE: Final = 100


def check(request: MoveAliasRequest | RollbackModelRequest | ListAliasChangesRequest) -> None:
    """See whether a request can be taken.

    Raises:
        InvalidInstanceError: it cannot; every field at fault is named.
    """
    found = [] if request.model else [Violation("model", "is required, for example 'batted_ball'")]
    if not is_alias(alias_of(request)):
        text = f"must be lower-case letters, digits and _, a letter first, at most 64; got {request.alias[:80]!r}"
        found.append(Violation("alias", text))
    if isinstance(request, MoveAliasRequest) and not request.version:
        found.append(Violation("version", "is required, at least 1"))
    if isinstance(request, ListAliasChangesRequest):
        if request.page_size > LARGEST_PAGE:
            found.append(Violation("page_size", f"must be from 1 to {LARGEST_PAGE}, got {request.page_size}"))
    elif not 0 < len(request.reason.strip()) <= LONGEST_REASON:
        found.append(Violation("reason", f"is required: at most {LONGEST_REASON} characters"))
    if found:
        raise InvalidInstanceError(found)


def alias_of(request: MoveAliasRequest | RollbackModelRequest | ListAliasChangesRequest) -> str:
    """Read which alias is meant; none: production."""
    return canonical(request.alias) or PRODUCTION


def decision_of(call: CallContext, why: str, *, forced: bool = False) -> AliasDecision:
    """Decide now, for a caller."""
    return AliasDecision(actor=caller_id(call), reason=why.strip(), at=datetime.now(UTC), forced=forced)


def page(moves: Sequence[AliasChange], request: ListAliasChangesRequest) -> ListAliasChangesResponse:
    """Cut a page out of moves, the latest first.

    Raises:
        InvalidInstanceError: the token is of no move.
    """
    wanted = [each for each in moves if not request.alias or each.alias == alias_of(request)]
    size = request.page_size or USUAL_PAGE
    begin = _after(wanted, request.page_token) if request.page_token else 0
    given = wanted[begin : begin + size]
    more = begin + size < len(wanted)
    return ListAliasChangesResponse(
        changes=[alias_change_message(each) for each in given], next_page_token=given[-1].id if more else ""
    )


def _after(moves: Sequence[AliasChange], token: str) -> int:
    places = [place for place, each in enumerate(moves, 1) if each.id == token]
    if not places:
        raise InvalidInstanceError([Violation("page_token", "must be the next_page_token of the page before")])
    return places[0]


def alias_change_message(move: AliasChange) -> AliasChangeMessage:
    """Convert an alias change to its message."""
    return AliasChangeMessage(
        id=move.id,
        moved_at=move.moved_at.astimezone(UTC).isoformat(),
        actor=move.actor,
        model=move.model,
        alias=move.alias,
        from_version=move.from_version,
        to_version=move.to_version,
        reason=move.reason,
        forced=move.forced,
        rollback=move.rollback,
    )
