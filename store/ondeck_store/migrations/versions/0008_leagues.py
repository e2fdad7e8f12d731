"""Distinguish the leagues of games: what is not known to be of the major leagues trains nothing."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_MAJOR = (
    "AL ANA ARI ATH ATL AZ BAL BOS CHA CHC CHW CIN CLE COL CWS DET FLA FLO HOU KC KCA KCR LAA LAD LAN MIA MIL MIN NL "
    "NYA NYM NYN NYY OAK PHI PIT SD SDN SDP SEA SF SFG SFN SLN STL TB TBA TBD TBR TEX TOR WAS WSH WSN"
)
_MINOR = (
    "ABQ BUF CLT COL COS CSP DUR ELP FRE GWN IND IOW JAX LHV LOU LV MEM NAS NO NOR NSH OKC OMA PAW RNO ROC RR SA SAC "
    "SL SLC STP SUG SWB SYR TAC TOL WOR BRD CLR DBT DUN FTM JUP LAK PMB SLU TAM GDD MES PEO SCO SRR SUR"
)
_NATIONS = "AUS BRA CAN CHN COL CUB CZE DOM GBR ISR ITA JPN KOR MEX NED NIC PAN PUR RSA TPE USA VEN"


def _both_among(teams: str) -> str:
    return f"ARRAY[home_team, away_team] <@ string_to_array('{teams}', ' ')"


# A row a game: the new check and the update take no time. Only the Rockies have a code of several leagues.
STATEMENTS = (
    """
    ALTER TABLE games ADD COLUMN league TEXT DEFAULT 'unknown' NOT NULL
    """,
    f"""
    UPDATE games SET league = CASE
        WHEN {_both_among(_MAJOR)} THEN 'major'
        WHEN {_both_among(_MINOR)} THEN 'minor'
        WHEN {_both_among(_NATIONS)} THEN 'international'
        ELSE 'unknown'
    END
    """,  # noqa: S608  constant names
    """
    ALTER TABLE games
        -- squawk-ignore constraint-missing-not-valid
        ADD CONSTRAINT ck_games_known_league CHECK (league IN ('major', 'minor', 'international', 'unknown'))
    """,
    """
    COMMENT ON COLUMN games.league IS 'from the codes of both teams; unknown: they do not show it'
    """,
)


def upgrade() -> None:
    """Add and fill the column."""
    for statement in STATEMENTS:
        op.execute(statement)
