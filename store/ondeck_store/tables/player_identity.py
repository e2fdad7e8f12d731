"""Tables around players: ids in other systems, aliases, conflicts between sources, manual overrides."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    func,
    text,
)

from ondeck_store.tables.statcast import metadata

NAME: Final = "name"


def _player_id() -> Column[int]:
    return Column("player_id", Integer, ForeignKey("players.player_id"), nullable=False)


player_ids = Table(
    "player_ids",
    metadata,
    Column("system", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    _player_id(),
    Column("source", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index(None, "player_id"),
)

player_aliases = Table(
    "player_aliases",
    metadata,
    Column("player_id", Integer, ForeignKey("players.player_id"), primary_key=True),
    Column("spelling", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("first_season", Integer),
    Column("last_season", Integer),
)

player_conflicts = Table(
    "player_conflicts",
    metadata,
    Column("player_id", Integer, primary_key=True),
    Column("field", Text, primary_key=True, comment="the system of an id, or the field, on which sources disagree"),
    Column("stored_value", Text, nullable=False),
    Column("source_value", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

player_overrides = Table(
    "player_overrides",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _player_id(),
    Column("system", Text, nullable=False, comment="name, or the system of an id"),
    Column("value", Text, nullable=False),
    Column(
        "is_active",
        Boolean,
        nullable=False,
        server_default=text("true"),
        comment="false: revokes an earlier override",
    ),
    comment="append-only: the newest row of a system and value applies",
)
