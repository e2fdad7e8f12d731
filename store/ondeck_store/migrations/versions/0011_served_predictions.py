"""Add a sample of the served predictions, and their daily scores."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# The tables are new, so that their indexes and constraints block no one.
STATEMENTS = (
    """
    CREATE TABLE served_predictions (
        served_at TIMESTAMP WITH TIME ZONE NOT NULL,
        model TEXT NOT NULL,
        version BIGINT NOT NULL,
        digest BYTEA NOT NULL,
        correlation_id TEXT NOT NULL,
        instance BYTEA NOT NULL,
        probabilities BYTEA NOT NULL,
        ensemble_spread REAL NOT NULL,
        prediction_sets INTEGER[] NOT NULL,
        game_pk INTEGER,
        at_bat_number INTEGER,
        pitch_number INTEGER,
        CONSTRAINT ck_served_predictions_key_is_complete
            CHECK (num_nulls(game_pk, at_bat_number, pitch_number) IN (0, 3))
    )
    PARTITION BY RANGE (served_at)
    """,
    """
    COMMENT ON TABLE served_predictions IS 'a sample of the predictions that were served; a partition per day (UTC)'
    """,
    """
    COMMENT ON COLUMN served_predictions.digest IS 'SHA-256 of the graph'
    """,
    """
    COMMENT ON COLUMN served_predictions.correlation_id IS 'of the call, as in the log'
    """,
    """
    COMMENT ON COLUMN served_predictions.instance IS 'float32, little-endian, in the order of the fields'
    """,
    """
    COMMENT ON COLUMN served_predictions.probabilities IS 'float32, little-endian, in the order of the outcomes'
    """,
    """
    COMMENT ON COLUMN served_predictions.prediction_sets IS 'for each coverage a sum of 2 ^ number of an outcome'
    """,
    """
    COMMENT ON COLUMN served_predictions.game_pk IS 'NULL: the caller did not name the pitch'
    """,
    """
    CREATE INDEX ix_served_predictions_game_pk_at_bat_number_pitch_number
        ON served_predictions (game_pk, at_bat_number, pitch_number)
    """,
    """
    CREATE TABLE served_scores (
        day DATE NOT NULL,
        model TEXT NOT NULL,
        version BIGINT NOT NULL,
        metric TEXT NOT NULL,
        subject TEXT NOT NULL,
        rows INTEGER NOT NULL,
        games INTEGER NOT NULL,
        value DOUBLE PRECISION NOT NULL,
        at_training DOUBLE PRECISION,
        p_value DOUBLE PRECISION,
        statistic DOUBLE PRECISION,
        level DOUBLE PRECISION,
        alarm BOOLEAN NOT NULL,
        pages BOOLEAN NOT NULL,
        scored_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_served_scores PRIMARY KEY (day, model, version, metric, subject)
    )
    """,
    """
    COMMENT ON TABLE served_scores IS 'scores of served predictions by day and version, beside those at training'
    """,
    """
    COMMENT ON COLUMN served_scores.day IS
        'of the games; of predictions without a pitch the day they were served'
    """,
    """
    COMMENT ON COLUMN served_scores.subject IS 'the outcome, field or coverage; empty: all rows'
    """,
    """
    COMMENT ON COLUMN served_scores.p_value IS 'of the day, for metrics whose evidence accumulates'
    """,
    """
    COMMENT ON COLUMN served_scores.statistic IS 'evidence, or the statistic of the day'
    """,
    """
    COMMENT ON COLUMN served_scores.level IS 'the statistic above which there is an alarm'
    """,
    """
    COMMENT ON COLUMN served_scores.pages IS 'whether an alarm is worth waking a person'
    """,
    """
    CREATE INDEX ix_served_scores_model_version_metric ON served_scores (model, version, metric)
    """,
)


def upgrade() -> None:
    """Create the tables; the server creates a partition before the first row of a day."""
    for statement in STATEMENTS:
        op.execute(statement)
