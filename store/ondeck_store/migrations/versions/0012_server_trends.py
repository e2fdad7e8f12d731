"""Add what servers did over weeks, for the history view of the dashboard."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# The table is new, so that its index, constraints and comments block no one.
STATEMENTS = (
    """
    CREATE TABLE server_trends (
        server TEXT NOT NULL,
        began_at TIMESTAMP WITH TIME ZONE NOT NULL,
        seconds INTEGER NOT NULL,
        calls BIGINT NOT NULL,
        server_errors BIGINT NOT NULL,
        caller_errors BIGINT NOT NULL,
        rows BIGINT NOT NULL,
        latency JSONB NOT NULL,
        queue JSONB NOT NULL,
        CONSTRAINT pk_server_trends PRIMARY KEY (server, seconds, began_at),
        CONSTRAINT ck_server_trends_known_length CHECK (seconds IN (300, 3600))
    )
    """,
    """
    CREATE INDEX ix_server_trends_began_at ON server_trends (began_at)
    """,
    """
    COMMENT ON TABLE server_trends IS
        'what servers did, per five minutes, and per hour once it is older than two days'
    """,
    """
    COMMENT ON COLUMN server_trends.server IS 'host name and gRPC port'
    """,
    """
    COMMENT ON COLUMN server_trends.seconds IS 'length of the interval'
    """,
    """
    COMMENT ON COLUMN server_trends.calls IS 'completed calls, without health checks'
    """,
    """
    COMMENT ON COLUMN server_trends.rows IS 'predicted instances'
    """,
    """
    COMMENT ON COLUMN server_trends.latency IS 'unary calls by upper bound in seconds, not cumulative'
    """,
    """
    COMMENT ON COLUMN server_trends.queue IS 'requests by their seconds in the queue, as latency'
    """,
)


def upgrade() -> None:
    """Create the table."""
    for statement in STATEMENTS:
        op.execute(statement)
