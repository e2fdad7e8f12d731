"""Add former values of changed pitches, unknown columns, and the digest of the last rows of a game."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE players VALIDATE CONSTRAINT ck_players_known_state
    """,
    """
    ALTER TABLE games ADD COLUMN rows_sha256 TEXT
    """,
    """
    COMMENT ON COLUMN games.rows_sha256 IS 'of the rows that were last taken for the game, as they were'
    """,
    """
    ALTER TABLE pitches ADD COLUMN extra JSONB, ADD COLUMN stored_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
    """,
    """
    COMMENT ON COLUMN pitches.extra IS 'columns that no export has had before'
    """,
    """
    CREATE TABLE pitch_revisions (
        game_pk INTEGER NOT NULL,
        at_bat_number INTEGER NOT NULL,
        pitch_number INTEGER NOT NULL,
        changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        former JSONB NOT NULL,
        CONSTRAINT pk_pitch_revisions PRIMARY KEY (game_pk, at_bat_number, pitch_number, changed_at)
    )
    """,
    """
    COMMENT ON COLUMN pitch_revisions.former IS 'the values that were changed, as they were before'
    """,
    """
    ALTER TABLE quarantine ADD COLUMN code TEXT DEFAULT 'unreadable' NOT NULL
    """,
)


def upgrade() -> None:
    """Add the columns and the table."""
    for statement in STATEMENTS:
        op.execute(statement)
