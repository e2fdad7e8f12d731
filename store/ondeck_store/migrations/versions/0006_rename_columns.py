"""Rename columns and states to the standard terms of ingest: requested, warning, circuit closed or open, revoked.

Renaming a column needs no rewrite. Programs of the release before cannot use these tables afterwards, as after every
migration: they are stopped first.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Each of these tables is small: the ledger has a row a day, so that the updates and the new checks take no time.
LEDGER = (
    """
    ALTER TABLE ingest_ledger
        -- squawk-ignore ban-drop-constraint
        DROP CONSTRAINT ck_ingest_ledger_known_state
    """,
    """
    UPDATE ingest_ledger SET state = 'requested' WHERE state = 'wanted'
    """,
    """
    ALTER TABLE ingest_ledger
        -- squawk-ignore constraint-missing-not-valid
        ADD CONSTRAINT ck_ingest_ledger_known_state CHECK (state IN ('requested', 'done', 'empty', 'failed'))
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE ingest_ledger RENAME COLUMN wanted_at TO requested_at
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE ingest_ledger RENAME COLUMN odd_games TO game_warning
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE ingest_ledger RENAME COLUMN odd_rows TO row_count_warning
    """,
    """
    COMMENT ON COLUMN ingest_ledger.requested_at IS 'when the day was last queued'
    """,
    """
    COMMENT ON COLUMN ingest_ledger.fetched_at IS 'when the response came'
    """,
    """
    COMMENT ON COLUMN ingest_ledger.revisions IS 'how often a later response had other rows'
    """,
    """
    COMMENT ON COLUMN ingest_ledger.game_warning IS 'warning about its games'
    """,
    """
    COMMENT ON COLUMN ingest_ledger.row_count_warning IS 'warning about its number of rows'
    """,
)

SOURCES = (
    """
    ALTER TABLE ingest_sources
        -- squawk-ignore ban-drop-constraint
        DROP CONSTRAINT ck_ingest_sources_known_state
    """,
    """
    UPDATE ingest_sources SET state = CASE state WHEN 'answers' THEN 'closed' ELSE 'open' END
    """,
    """
    ALTER TABLE ingest_sources
        -- squawk-ignore constraint-missing-not-valid
        ADD CONSTRAINT ck_ingest_sources_known_state CHECK (state IN ('closed', 'open'))
    """,
    """
    COMMENT ON COLUMN ingest_sources.state IS 'of the circuit breaker; open: no requests, after repeated failures'
    """,
    """
    COMMENT ON COLUMN ingest_sources.until IS 'until when the circuit is open'
    """,
    """
    COMMENT ON COLUMN ingest_sources.reason IS 'the last error'
    """,
)

QUARANTINE = (
    """
    -- squawk-ignore renaming-column
    ALTER TABLE quarantine RENAME COLUMN at TO quarantined_at
    """,
    """
    COMMENT ON COLUMN quarantine.closed_at IS 'when the row was stored or superseded; NULL: still quarantined'
    """,
    """
    COMMENT ON COLUMN quarantine.outcome IS 'stored: valid on a retry; superseded: missing when its unit came again'
    """,
    """
    COMMENT ON COLUMN quarantine.rule IS 'number of the correction rule that made it valid; NULL: valid without one'
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE quarantine_rules RENAME COLUMN at TO created_at
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE quarantine_rules RENAME COLUMN who TO created_by
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE quarantine_rules RENAME COLUMN why TO reason
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE quarantine_rules RENAME COLUMN instead TO replacement
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE quarantine_rules RENAME COLUMN taken_back_at TO revoked_at
    """,
    """
    COMMENT ON TABLE quarantine_rules IS 'correction rules; never changed, but may be revoked'
    """,
    """
    COMMENT ON COLUMN quarantine_rules.cells IS 'texts that a quarantined row must have, by column name'
    """,
    """
    COMMENT ON COLUMN quarantine_rules.replacement IS 'texts that replace them, by column name'
    """,
    """
    COMMENT ON COLUMN quarantine_rules.revoked_at IS 'NULL: the rule is active'
    """,
)

PLAYERS = (
    """
    -- squawk-ignore renaming-column
    ALTER TABLE player_conflicts RENAME COLUMN what TO field
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE player_conflicts RENAME COLUMN ours TO stored_value
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE player_conflicts RENAME COLUMN theirs TO source_value
    """,
    """
    COMMENT ON COLUMN player_conflicts.field IS 'the system of an id, or the field, on which sources disagree'
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE player_overrides RENAME COLUMN at TO created_at
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE player_overrides RENAME COLUMN who TO created_by
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE player_overrides RENAME COLUMN why TO reason
    """,
    """
    -- squawk-ignore renaming-column
    ALTER TABLE player_overrides RENAME COLUMN holds TO is_active
    """,
    """
    COMMENT ON TABLE player_overrides IS 'append-only: the newest row of a system and value applies'
    """,
    """
    COMMENT ON COLUMN player_overrides.is_active IS 'false: revokes an earlier override'
    """,
    """
    COMMENT ON COLUMN players.state IS 'known: described by a register; unresolved: known by id alone'
    """,
    """
    COMMENT ON COLUMN players.next_try IS 'when to look the player up in a register again'
    """,
)

PITCHES = (
    """
    COMMENT ON COLUMN games.rows_sha256 IS 'of the rows of the last load, as they came'
    """,
    """
    COMMENT ON COLUMN pitches.extra IS 'values of columns that are not in the schema'
    """,
    """
    COMMENT ON COLUMN pitch_revisions.former IS 'the changed values as they were before'
    """,
    """
    COMMENT ON COLUMN ingest_columns.name IS 'a column that is not in the schema'
    """,
)

STATEMENTS = (*LEDGER, *SOURCES, *QUARANTINE, *PLAYERS, *PITCHES)


def upgrade() -> None:
    """Rename the columns and states, and describe them anew."""
    for statement in STATEMENTS:
        op.execute(statement)
