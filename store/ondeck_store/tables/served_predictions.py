"""Tables of served predictions and their scores."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, REAL

from ondeck_store.tables.statcast import metadata

served_predictions = Table(
    "served_predictions",
    metadata,
    Column("served_at", DateTime(timezone=True), nullable=False),
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the graph"),
    Column("correlation_id", Text, nullable=False, comment="of the call, as in the log"),
    Column("instance", LargeBinary, nullable=False, comment="float32, little-endian, in the order of the fields"),
    Column(
        "probabilities", LargeBinary, nullable=False, comment="float32, little-endian, in the order of the outcomes"
    ),
    Column("ensemble_spread", REAL, nullable=False),
    Column(
        "prediction_sets", ARRAY(Integer), nullable=False, comment="for each coverage a sum of 2 ^ number of an outcome"
    ),
    Column("game_pk", Integer, comment="NULL: the caller did not name the pitch"),
    Column("at_bat_number", Integer),
    Column("pitch_number", Integer),
    CheckConstraint("num_nulls(game_pk, at_bat_number, pitch_number) IN (0, 3)", name="key_is_complete"),
    Index(None, "game_pk", "at_bat_number", "pitch_number"),
    postgresql_partition_by="RANGE (served_at)",
    comment="a sample of the predictions that were served; a partition per day (UTC)",
)

served_scores = Table(
    "served_scores",
    metadata,
    Column(
        "day", Date, nullable=False, comment="of the games; of predictions without a pitch the day they were served"
    ),
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("metric", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="the outcome, field or coverage; empty: all rows"),
    Column("rows", Integer, nullable=False),
    Column("games", Integer, nullable=False),
    Column("value", Double, nullable=False),
    Column("at_training", Double),
    Column("p_value", Double, comment="of the day, for metrics whose evidence accumulates"),
    Column("statistic", Double, comment="evidence, or the statistic of the day"),
    Column("level", Double, comment="the statistic above which there is an alarm"),
    Column("alarm", Boolean, nullable=False),
    Column("pages", Boolean, nullable=False, comment="whether an alarm is worth waking a person"),
    Column("scored_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("day", "model", "version", "metric", "subject"),
    Index(None, "model", "version", "metric"),
    comment="scores of served predictions by day and version, beside those at training",
)
