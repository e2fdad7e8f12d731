"""Tables of players, games and pitches. Migrations create them; a test compares both."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL
from sqlalchemy.types import TypeEngine

from ondeck_core.statcast.schema import COLUMNS, ColumnType

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_TYPES: Final[dict[ColumnType, TypeEngine[Any]]] = {
    ColumnType.TEXT: Text(),
    ColumnType.DATE: Date(),
    ColumnType.INTEGER: Integer(),
    ColumnType.REAL: REAL(),
    ColumnType.DOUBLE: Double(),
}


def simulated_label() -> Column[bool]:
    """Make the column that marks simulated rows."""
    return Column("simulated", Boolean, nullable=False, server_default=text("false"))


players = Table(
    "players",
    metadata,
    Column("player_id", Integer, primary_key=True, autoincrement=False, comment="MLBAM id; negative: simulated"),
    Column("name", Text, comment='"Last, First", as Savant writes it; NULL: known by id alone'),
    simulated_label(),
    *(Column(name, Text) for name in ("name_first", "name_last", "name_given", "name_suffix")),
    *(Column(name, Integer) for name in ("birth_year", "birth_month", "birth_day")),
    *(Column(name, Text) for name in ("bats", "throws")),
    *(Column(name, Integer) for name in ("pro_first", "pro_last", "mlb_first", "mlb_last")),
    Column(
        "state",
        Text,
        nullable=False,
        server_default=text("'unresolved'"),
        comment="known: described by a register; unresolved: known by id alone",
    ),
    Column("next_try", DateTime(timezone=True), comment="when to look the player up in a register again"),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("state IN ('known', 'unresolved')", name="known_state"),
    CheckConstraint("simulated = (player_id < 0)", name="simulated_ids_are_negative"),
)

games = Table(
    "games",
    metadata,
    Column("game_pk", Integer, primary_key=True, autoincrement=False, comment="negative: simulated"),
    Column("season", Integer, nullable=False),
    Column("game_date", Date, nullable=False),
    Column("game_type", Text, nullable=False),
    Column("home_team", Text, nullable=False),
    Column("away_team", Text, nullable=False),
    simulated_label(),
    Column("rows_sha256", Text, comment="of the rows of the last load, as they came"),
    Column(
        "league",
        Text,
        nullable=False,
        server_default=text("'unknown'"),
        comment="from the codes of both teams; unknown: they do not show it",
    ),
    Column(
        "downloaded_after",
        DateTime(timezone=True),
        comment="its rows are of no earlier download; NULL: not known",
    ),
    Column(
        "downloaded_before",
        DateTime(timezone=True),
        comment="its rows are of no later download; NULL: not known",
    ),
    UniqueConstraint("game_pk", "season"),
    CheckConstraint("league IN ('major', 'minor', 'international', 'unknown')", name="known_league"),
    CheckConstraint("simulated = (game_pk < 0)", name="simulated_ids_are_negative"),
)

pitches = Table(
    "pitches",
    metadata,
    *(Column(column.name, _TYPES[column.kind], nullable=not column.required) for column in COLUMNS),
    simulated_label(),
    Column("extra", JSONB, comment="values of columns that are not in the schema"),
    Column("unreadable_cells", JSONB, comment="texts of optional columns that are not of their type, by column"),
    Column("stored_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("game_pk", "at_bat_number", "pitch_number", "game_year"),
    ForeignKeyConstraint(["game_pk", "game_year"], ["games.game_pk", "games.season"]),
    ForeignKeyConstraint(["batter"], ["players.player_id"]),
    ForeignKeyConstraint(["pitcher"], ["players.player_id"]),
    CheckConstraint("simulated = (game_pk < 0)", name="simulated_ids_are_negative"),
    Index(None, "game_date"),
    Index(None, "batter", "game_date"),
    Index(None, "pitcher", "game_date"),
    postgresql_partition_by="RANGE (game_year)",
)

pitch_revisions = Table(
    "pitch_revisions",
    metadata,
    Column("game_pk", Integer, primary_key=True),
    Column("at_bat_number", Integer, primary_key=True),
    Column("pitch_number", Integer, primary_key=True),
    Column("changed_at", DateTime(timezone=True), primary_key=True, server_default=func.now()),
    Column("former", JSONB, nullable=False, comment="the changed values as they were before"),
    Column("load", BigInteger, comment="number of the load that changed the row; NULL: before schema 0009"),
)

player_seasons = Table(
    "player_seasons",
    metadata,
    Column("player_id", Integer, ForeignKey("players.player_id"), nullable=False),
    Column("season", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("team", Text, nullable=False),
    Column("league", Text, nullable=False),
    Column("game_type", Text, nullable=False),
    Column("pitches", Integer, nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    PrimaryKeyConstraint("player_id", "season", "role", "team", "league", "game_type"),
    CheckConstraint("role IN ('batter', 'pitcher')", name="known_role"),
    CheckConstraint("pitches > 0", name="has_pitches"),
    comment="sums of player_pitches, kept by ingest",
)
