"""Sum the stored pitches per player, role, team and season; ingest keeps the sums."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FIRST_SEASON = 2008
LAST_SEASON = 2039

# The tables are new, so that their constraints and comments block no one.
STATEMENTS = (
    """
    CREATE VIEW player_pitches AS
    SELECT pitches.game_pk, pitches.game_year AS season, pitches.game_date, pitches.game_type, games.league,
        pitches.batter, pitches.pitcher, appearance.player_id, appearance.role, appearance.team
    FROM pitches JOIN games ON games.game_pk = pitches.game_pk, LATERAL (VALUES
        (pitches.batter, 'batter',
            CASE pitches.inning_topbot WHEN 'Top' THEN pitches.away_team ELSE pitches.home_team END),
        (pitches.pitcher, 'pitcher',
            CASE pitches.inning_topbot WHEN 'Top' THEN pitches.home_team ELSE pitches.away_team END)
    ) AS appearance (player_id, role, team)
    WHERE NOT pitches.simulated
    """,
    """
    COMMENT ON VIEW player_pitches IS 'each pitch as that of its batter and that of its pitcher, without simulated ones'
    """,
    """
    CREATE TABLE player_seasons (
        player_id INTEGER NOT NULL,
        season INTEGER NOT NULL,
        role TEXT NOT NULL,
        team TEXT NOT NULL,
        league TEXT NOT NULL,
        game_type TEXT NOT NULL,
        pitches INTEGER NOT NULL,
        first_day DATE NOT NULL,
        last_day DATE NOT NULL,
        CONSTRAINT pk_player_seasons PRIMARY KEY (player_id, season, role, team, league, game_type),
        CONSTRAINT fk_player_seasons_player_id_players FOREIGN KEY(player_id) REFERENCES players (player_id),
        CONSTRAINT ck_player_seasons_known_role CHECK (role IN ('batter', 'pitcher')),
        CONSTRAINT ck_player_seasons_has_pitches CHECK (pitches > 0)
    )
    """,
    """
    COMMENT ON TABLE player_seasons IS 'sums of player_pitches, kept by ingest'
    """,
)


def upgrade() -> None:
    """Create the view and the table, and sum the stored pitches season by season."""
    for statement in STATEMENTS:
        op.execute(statement)
    for season in range(FIRST_SEASON, LAST_SEASON + 1):
        op.execute(
            f"""
            INSERT INTO player_seasons
            SELECT player_id, season, role, team, league, game_type, count(*), min(game_date), max(game_date)
            FROM player_pitches WHERE season = {season}
            GROUP BY player_id, season, role, team, league, game_type
            """  # noqa: S608  a number
        )
