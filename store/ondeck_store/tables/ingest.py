"""The tables of the ingest worker: what was taken from where, whether sources answer, what was set aside."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from ondeck_store.tables.pitches import metadata, simulated_label

ingest_ledger = Table(
    "ingest_ledger",
    metadata,
    Column("source", Text, primary_key=True, comment="savant, file or simulator"),
    Column("unit", Text, primary_key=True, comment="a day, or the name of a file and its SHA-256"),
    Column("day", Date),
    Column("state", Text, nullable=False),
    Column("rows_in", Integer, nullable=False, server_default=text("0")),
    Column("stored", Integer, nullable=False, server_default=text("0")),
    Column("unchanged", Integer, nullable=False, server_default=text("0")),
    Column("quarantined", Integer, nullable=False, server_default=text("0")),
    Column("games", Integer, nullable=False, server_default=text("0")),
    Column("raw_sha256", Text),
    Column("attempts", SmallInteger, nullable=False, server_default=text("1")),
    Column("last_error", Text),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("wanted_at", DateTime(timezone=True), comment="when the day was last put into the queue"),
    Column("fetched_at", DateTime(timezone=True), comment="when the bytes came"),
    Column(
        "revisions",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="how often it came again with other rows",
    ),
    Column("odd_games", Text, comment="what is suspicious about its games"),
    Column("odd_rows", Text, comment="what is suspicious about the number of its rows"),
    simulated_label(),
    CheckConstraint("state IN ('wanted', 'done', 'empty', 'failed')", name="known_state"),
    CheckConstraint("rows_in = stored + unchanged + quarantined", name="no_row_is_lost"),
    Index(None, "source", "day"),
)

ingest_sources = Table(
    "ingest_sources",
    metadata,
    Column("source", Text, primary_key=True),
    Column("state", Text, nullable=False, comment="answers, or rests: it failed too often and is left alone"),
    Column("until", DateTime(timezone=True), comment="until when it is left alone"),
    Column("reason", Text, comment="what it said last"),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("state IN ('answers', 'rests')", name="known_state"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("source", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("code", Text, nullable=False, server_default=text("'unreadable'")),
    Column("reason", Text, nullable=False),
    Column("cells", JSONB, nullable=False, comment="the row as it came, text by column name"),
    Column("cells_sha256", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("closed_at", DateTime(timezone=True), comment="when the row stopped being set aside; NULL: it still is"),
    Column("outcome", Text, comment="stored: it fits after all; superseded: its day came again without it"),
    Column("rule", BigInteger, comment="the number of the rule that made it fit; NULL: it fits as it is"),
    UniqueConstraint("source", "unit", "cells_sha256"),
    CheckConstraint("outcome IN ('stored', 'superseded')", name="known_outcome"),
    CheckConstraint("(closed_at IS NULL) = (outcome IS NULL)", name="closed_with_an_outcome"),
)

quarantine_rules = Table(
    "quarantine_rules",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("cells", JSONB, nullable=False, comment="what a row that was set aside must say, text by column name"),
    Column("instead", JSONB, nullable=False, comment="what it is to say, text by column name"),
    Column("taken_back_at", DateTime(timezone=True), comment="NULL: the rule holds"),
    comment="decided by hand; never changed, but may be taken back",
)

ingest_columns = Table(
    "ingest_columns",
    metadata,
    Column("name", Text, primary_key=True, comment="a column that no export has had before"),
    Column("source", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("first_seen", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
