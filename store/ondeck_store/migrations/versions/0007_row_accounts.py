"""Count new and changed rows apart, keep unreadable cells, and close quarantined rows by their pitch.

Quarantined rows get the key of their pitch where their cells have one, so that they are closed when the pitch comes
whole from any source; a person may dismiss them.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _number(name: str) -> str:
    return (
        f"CASE WHEN cells ->> '{name}' ~ '^\\s*[0-9]{{1,9}}(\\.0+)?\\s*$' "
        f"THEN split_part(trim(cells ->> '{name}'), '.', 1)::integer END"
    )


# The ledger and the quarantine are small; the new column of the pitches has no default, so that no row is rewritten.
STATEMENTS = (
    """
    ALTER TABLE pitches ADD COLUMN unreadable_cells JSONB
    """,
    """
    COMMENT ON COLUMN pitches.unreadable_cells IS 'texts of optional columns that are not of their type, by column'
    """,
    """
    ALTER TABLE ingest_ledger
        -- squawk-ignore ban-drop-constraint
        DROP CONSTRAINT ck_ingest_ledger_no_row_is_lost
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE ingest_ledger RENAME COLUMN stored TO inserted
    """,
    """
    ALTER TABLE ingest_ledger
        ADD COLUMN changed INTEGER DEFAULT 0 NOT NULL,
        ADD COLUMN unreadable_cells INTEGER DEFAULT 0 NOT NULL
    """,
    """
    ALTER TABLE ingest_ledger
        -- squawk-ignore constraint-missing-not-valid
        ADD CONSTRAINT ck_ingest_ledger_no_row_is_lost CHECK (rows_in = inserted + changed + unchanged + quarantined)
    """,
    """
    COMMENT ON COLUMN ingest_ledger.inserted IS 'new rows; before schema 0007 changed rows, too'
    """,
    """
    COMMENT ON COLUMN ingest_ledger.changed IS 'rows whose stored values changed'
    """,
    """
    COMMENT ON COLUMN ingest_ledger.unreadable_cells IS 'cells of optional columns that are not of their type'
    """,
    """
    ALTER TABLE quarantine
        ADD COLUMN game_pk INTEGER,
        ADD COLUMN at_bat_number INTEGER,
        ADD COLUMN pitch_number INTEGER,
        ADD COLUMN dismissed_by TEXT,
        ADD COLUMN dismissed_reason TEXT
    """,
    f"""
    UPDATE quarantine SET
        game_pk = {_number("game_pk")},
        at_bat_number = {_number("at_bat_number")},
        pitch_number = {_number("pitch_number")}
    """,  # noqa: S608  constant names
    """
    COMMENT ON COLUMN quarantine.game_pk IS 'key of the pitch, as far as the cells have it'
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_quarantine_game_pk ON quarantine (game_pk)
    """,
    """
    ALTER TABLE quarantine
        -- squawk-ignore ban-drop-constraint
        DROP CONSTRAINT ck_quarantine_known_outcome,
        -- squawk-ignore constraint-missing-not-valid
        ADD CONSTRAINT ck_quarantine_known_outcome CHECK (outcome IN ('stored', 'superseded', 'dismissed'))
    """,
    """
    COMMENT ON COLUMN quarantine.outcome IS
        'stored: valid on a retry; superseded: its pitch came whole, or its unit without it; dismissed: by a person'
    """,
)


def upgrade() -> None:
    """Add and describe the columns."""
    for statement in STATEMENTS:
        op.execute(statement)
