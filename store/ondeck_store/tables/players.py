"""The tables around players: ids in other systems, spellings, disagreements, and what was decided by hand."""

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

from ondeck_store.tables.pitches import metadata

NAME: Final = "name"


def _of_a_player() -> Column[int]:
    return Column("player_id", Integer, ForeignKey("players.player_id"), nullable=False)


player_ids = Table(
    "player_ids",
    metadata,
    Column("system", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    _of_a_player(),
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
    Column("what", Text, primary_key=True, comment="the system of an id, or the field, on which sources disagree"),
    Column("ours", Text, nullable=False),
    Column("theirs", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

player_overrides = Table(
    "player_overrides",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    _of_a_player(),
    Column("system", Text, nullable=False, comment="name, or the system of an id"),
    Column("value", Text, nullable=False),
    Column(
        "holds",
        Boolean,
        nullable=False,
        server_default=text("true"),
        comment="false: takes an earlier decision back",
    ),
    comment="decided by hand, never changed: the newest row of a system and value holds",
)
