"""Tables of the ingest worker: ledger, circuit breakers, quarantine, correction rules, unknown columns."""

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

from ondeck_store.tables.statcast import metadata, simulated_label

ingest_ledger = Table(
    "ingest_ledger",
    metadata,
    Column("source", Text, primary_key=True, comment="savant, file or simulator"),
    Column("unit", Text, primary_key=True, comment="a day, or the name of a file and its SHA-256"),
    Column("day", Date),
    Column("state", Text, nullable=False),
    Column("rows_in", Integer, nullable=False, server_default=text("0")),
    Column(
        "inserted",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="new rows; before schema 0007 changed rows, too",
    ),
    Column("changed", Integer, nullable=False, server_default=text("0"), comment="rows whose stored values changed"),
    Column("unchanged", Integer, nullable=False, server_default=text("0")),
    Column("quarantined", Integer, nullable=False, server_default=text("0")),
    Column(
        "unreadable_cells",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="cells of optional columns that are not of their type",
    ),
    Column("games", Integer, nullable=False, server_default=text("0")),
    Column("raw_sha256", Text),
    Column("attempts", SmallInteger, nullable=False, server_default=text("1")),
    Column("last_error", Text),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("requested_at", DateTime(timezone=True), comment="when the day was last queued"),
    Column("fetched_at", DateTime(timezone=True), comment="when the response came"),
    Column(
        "revisions",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="how often a later response had other rows",
    ),
    Column("game_warning", Text, comment="warning about its games"),
    Column("row_count_warning", Text, comment="warning about its number of rows"),
    simulated_label(),
    Column(
        "outdated",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="rows of an older download than the stored ones; not stored",
    ),
    Column(
        "unordered",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="changed rows that may be of an older download than the former ones",
    ),
    CheckConstraint("state IN ('requested', 'done', 'empty', 'failed', 'reverted')", name="known_state"),
    CheckConstraint("rows_in = inserted + changed + unchanged + outdated + quarantined", name="no_row_is_lost"),
    Index(None, "source", "day"),
)

ingest_loads = Table(
    "ingest_loads",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("source", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column(
        "loaded_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=func.now(),
        comment="the start of its transaction, as in pitches.stored_at",
    ),
    Column("first_day", Date),
    Column("last_day", Date),
    Column("inserted", Integer, nullable=False, server_default=text("0")),
    Column("changed", Integer, nullable=False, server_default=text("0")),
    Column("reverts", BigInteger, comment="number of the load that this one reverts"),
    Column("reverted_by", BigInteger, comment="number of the load that reverts this one; NULL: it holds"),
    Index(None, "unit"),
    comment="the loads of units that stored rows",
)

ingest_sources = Table(
    "ingest_sources",
    metadata,
    Column("source", Text, primary_key=True),
    Column("state", Text, nullable=False, comment="of the circuit breaker; open: no requests, after repeated failures"),
    Column("until", DateTime(timezone=True), comment="until when the circuit is open"),
    Column("reason", Text, comment="the last error"),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("state IN ('closed', 'open')", name="known_state"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("source", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("game_pk", Integer, comment="key of the pitch, as far as the cells have it"),
    Column("at_bat_number", Integer),
    Column("pitch_number", Integer),
    Column("code", Text, nullable=False, server_default=text("'unreadable'")),
    Column("reason", Text, nullable=False),
    Column("cells", JSONB, nullable=False, comment="the row as it came, text by column name"),
    Column("cells_sha256", Text, nullable=False),
    Column("quarantined_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column(
        "closed_at", DateTime(timezone=True), comment="when the row was stored or superseded; NULL: still quarantined"
    ),
    Column(
        "outcome",
        Text,
        comment="stored: valid on a retry; superseded: its pitch came whole, or its unit without it; "
        "dismissed: by a person",
    ),
    Column("rule", BigInteger, comment="number of the correction rule that made it valid; NULL: valid without one"),
    UniqueConstraint("source", "unit", "cells_sha256"),
    Index(None, "game_pk"),
    Column("dismissed_by", Text),
    Column("dismissed_reason", Text),
    CheckConstraint("outcome IN ('stored', 'superseded', 'dismissed')", name="known_outcome"),
    CheckConstraint("(closed_at IS NULL) = (outcome IS NULL)", name="closed_with_an_outcome"),
)

quarantine_rules = Table(
    "quarantine_rules",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("cells", JSONB, nullable=False, comment="texts that a quarantined row must have, by column name"),
    Column("replacement", JSONB, nullable=False, comment="texts that replace them, by column name"),
    Column("revoked_at", DateTime(timezone=True), comment="NULL: the rule is active"),
    comment="correction rules; never changed, but may be revoked",
)

ingest_columns = Table(
    "ingest_columns",
    metadata,
    Column("name", Text, primary_key=True, comment="a column that is not in the schema"),
    Column("source", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("first_seen", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
