"""Formats of the player registers: Chadwick, Chadwick's alternative names, the Smart Fantasy Baseball map.

A register is recognized by its columns, not by its file name. Ids are integers or text; placeholders such as -1 are
missing values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from ondeck_core.errors import SourceRefusedError
from ondeck_core.players.index import MLBAM
from ondeck_core.players.name_normalization import fold, normalize

PLAYER_ID: Final = "player_id"
PEOPLE: Final = {
    PLAYER_ID: pl.Int32,
    **dict.fromkeys(("name_first", "name_last", "name_given", "name_suffix"), pl.String),
    **dict.fromkeys(("birth_year", "birth_month", "birth_day"), pl.Int32),
    **dict.fromkeys(("bats", "throws"), pl.String),
    **dict.fromkeys(("pro_first", "pro_last", "mlb_first", "mlb_last"), pl.Int32),
}
IDS: Final = {PLAYER_ID: pl.Int32, "system": pl.String, "id": pl.String}
ALIASES: Final = {
    PLAYER_ID: pl.Int32,
    "spelling": pl.String,
    "first_season": pl.Int32,
    "last_season": pl.Int32,
}
MISASSIGNED: Final = "misassigned"
CHADWICK, CHADWICK_NAMES, FANTASY = "chadwick", "chadwick names", "smart fantasy baseball"

_REQUIRED_COLUMNS: Final = {
    CHADWICK: {"key_mlbam", "name_last", "name_first"},
    CHADWICK_NAMES: {"key_person", "altname_last", "altname_first"},
    FANTASY: {"MLBID", "PLAYERNAME", "BIRTHDATE"},
}
_CHADWICK_IDS: Final = {
    "key_person": "chadwick",
    "key_retro": "retro",
    "key_bbref": "bbref",
    "key_bbref_minors": "bbref_minors",
    "key_fangraphs": "fangraphs",
    "key_npb": "npb",
    "key_wikidata": "wikidata",
}
_FANTASY_IDS: Final = {
    "IDPLAYER": "sfbb",
    "IDFANGRAPHS": "fangraphs",
    "CBSID": "cbs",
    "RETROID": "retro",
    "BREFID": "bbref",
    "NFBCID": "nfbc",
    "ESPNID": "espn",
    "DAVENPORTID": "davenport",
    "BPID": "bp",
    "YAHOOID": "yahoo",
    "ROTOWIREID": "rotowire",
    "FANDUELID": "fanduel",
    "OTTONEUID": "ottoneu",
    "HQID": "hq",
    "RAZZBALLID": "razzball",
    "FANTRAXID": "fantrax",
    "UNDERDOG": "underdog",
}
_MISSING_VALUES: Final = ("", "-1", "-1.0", "N/A", "NA", "nan", "NaN", "null", "0", "0.0")


@dataclass(frozen=True, kw_only=True)
class RegisterFile:
    """Content of a register: people, their ids in other systems, and spellings of their names."""

    source: str
    people: pl.DataFrame
    ids: pl.DataFrame
    aliases: pl.DataFrame


def kind_of(columns: Sequence[str]) -> str | None:
    """Return the register format of a table with these columns; None if unknown."""
    present = set(columns)
    return next((kind for kind, required in _REQUIRED_COLUMNS.items() if required <= present), None)


def read_register(cells: pl.DataFrame, people_by_key: Mapping[str, int] | None = None) -> RegisterFile:
    """Parse a register from text cells; Chadwick's alternative names need `people_by_key`, MLBAM ids by Chadwick key.

    Raises:
        SourceRefusedError: the format is unknown.
    """
    clean = cells.select(_clean(name) for name in cells.columns)
    match kind_of(cells.columns):
        case "chadwick":
            return _chadwick(clean)
        case "chadwick names":
            return _chadwick_names(clean, people_by_key or {})
        case "smart fantasy baseball":
            return _fantasy(clean)
    raise SourceRefusedError(
        "not a known player register: Chadwick's has the column key_mlbam, its alternative names altname_last, "
        f"the Smart Fantasy Baseball map MLBID; this file has {', '.join(cells.columns[:6])}"
    )


def _chadwick(cells: pl.DataFrame) -> RegisterFile:
    known = _with_player_id(cells, "key_mlbam")
    people = _select(
        known,
        PEOPLE,
        {
            "pro_first": "pro_played_first",
            "pro_last": "pro_played_last",
            "mlb_first": "mlb_played_first",
            "mlb_last": "mlb_played_last",
        },
    )
    return RegisterFile(source=CHADWICK, people=people, ids=_read_ids(known, _CHADWICK_IDS), aliases=_empty(ALIASES))


def _chadwick_names(cells: pl.DataFrame, people_by_key: Mapping[str, int]) -> RegisterFile:
    keys = pl.DataFrame(
        {"key_person": list(people_by_key), PLAYER_ID: list(people_by_key.values())},
        schema={"key_person": pl.String, PLAYER_ID: pl.Int32},
    )
    known = cells.join(keys, on="key_person", how="inner")
    first = pl.coalesce("altname_first", "name_first")
    named = known.with_columns(spelling=pl.concat_str(first, pl.coalesce("altname_last", "name_last"), separator=" "))
    aliases = named.filter(pl.col("spelling").is_not_null())
    return RegisterFile(
        source=CHADWICK_NAMES, people=_empty(PEOPLE), ids=_empty(IDS), aliases=_select(aliases, ALIASES, {})
    )


def _fantasy(cells: pl.DataFrame) -> RegisterFile:
    known = _with_player_id(cells, "MLBID").with_columns(
        pl.col("BIRTHDATE").str.to_date("%m/%d/%Y", strict=False).alias("born")
    )
    dated = known.with_columns(
        birth_year=pl.col("born").dt.year(), birth_month=pl.col("born").dt.month(), birth_day=pl.col("born").dt.day()
    )
    columns = {"name_first": "FIRSTNAME", "name_last": "LASTNAME", "bats": "BATS", "throws": "THROWS"}
    people = _select(dated, PEOPLE, columns).unique(PLAYER_ID, keep="none", maintain_order=True)
    spellings = [name for name in cells.columns if name.endswith("NAME") and name not in {"FIRSTNAME", "LASTNAME"}]
    spellings += [name for name in ("LASTCOMMAFIRST", "NFBCLASTFIRST") if name in cells.columns]
    aliases = known.unpivot(spellings, index=PLAYER_ID, value_name="spelling").filter(pl.col("spelling").is_not_null())
    return RegisterFile(
        source=FANTASY,
        people=people,
        ids=_read_ids(known, _FANTASY_IDS),
        aliases=_select(aliases, ALIASES, {}).unique(maintain_order=True),
    )


def _clean(name: str) -> pl.Expr:
    text = pl.col(name).cast(pl.String).str.strip_chars().str.replace(r"^(-?\d+)\.0+$", "$1")
    return pl.when(text.is_in(_MISSING_VALUES)).then(None).otherwise(text).alias(name)


def _with_player_id(cells: pl.DataFrame, column: str) -> pl.DataFrame:
    number = pl.col(column).cast(pl.Int32, strict=False)
    return cells.with_columns(number.alias(PLAYER_ID)).filter(pl.col(PLAYER_ID) > 0)


def _read_ids(known: pl.DataFrame, systems: Mapping[str, str]) -> pl.DataFrame:
    present = {column: system for column, system in systems.items() if column in known.columns}
    long = known.unpivot(list(present), index=PLAYER_ID, variable_name="column", value_name="id")
    named = long.with_columns(pl.col("column").replace(present).alias("system")).filter(
        pl.col("id").is_not_null() & (pl.col("system") != MLBAM)
    )
    return _select(named, IDS, {}).unique(maintain_order=True)


def _select(cells: pl.DataFrame, schema: Mapping[str, type[pl.DataType]], renamed: Mapping[str, str]) -> pl.DataFrame:
    def column(name: str, kind: type[pl.DataType]) -> pl.Expr:
        source = renamed.get(name, name)
        if source not in cells.columns:
            return pl.lit(None, dtype=kind).alias(name)
        return pl.col(source).cast(kind, strict=False).alias(name)

    return cells.select(column(name, kind) for name, kind in schema.items())


def _empty(schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict(schema))


def mark_misassigned(aliases: pl.DataFrame, names: Mapping[int, str]) -> pl.DataFrame:
    """Add the column `misassigned`: whether a spelling shares no word with its player and names another player.

    `names` has all names by MLBAM id, as "First Last".
    """
    keys = {normalize(name).key for name in names.values()}

    def misassigned(player_id: int, spelling: str) -> bool:
        own = set(fold(names.get(player_id, spelling)))
        return own.isdisjoint(fold(spelling)) and normalize(spelling).key in keys

    marks = [misassigned(*row) for row in aliases.select(PLAYER_ID, "spelling").iter_rows()]
    return aliases.with_columns(pl.Series(MISASSIGNED, marks, dtype=pl.Boolean))
