"""The table of what servers did, over weeks."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, Integer, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from ondeck_store.tables.statcast import metadata

server_trends = Table(
    "server_trends",
    metadata,
    Column("server", Text, nullable=False, comment="host name and gRPC port"),
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("seconds", Integer, nullable=False, comment="length of the interval"),
    Column("calls", BigInteger, nullable=False, comment="completed calls, without health checks"),
    Column("server_errors", BigInteger, nullable=False),
    Column("caller_errors", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False, comment="predicted instances"),
    Column("latency", JSONB, nullable=False, comment="unary calls by upper bound in seconds, not cumulative"),
    Column("queue", JSONB, nullable=False, comment="requests by their seconds in the queue, as latency"),
    PrimaryKeyConstraint("server", "seconds", "began_at"),
    CheckConstraint("seconds IN (300, 3600)", name="known_length"),
    Index(None, "began_at"),
    comment="what servers did, per five minutes, and per hour once it is older than two days",
)
