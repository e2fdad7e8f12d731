"""Registers of people, read: what each says, whatever columns it comes with today.

A register is recognised by its columns, never by its file's name. Ids are whole numbers or text; the -1, the floats and
the blanks that some tools leave in their place are nothing.
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
CHADWICK, CHADWICK_NAMES, FANTASY = "chadwick", "chadwick names", "smart fantasy baseball"

_NEEDED: Final = {
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
_NOTHING: Final = ("", "-1", "-1.0", "N/A", "NA", "nan", "NaN", "null", "0", "0.0")


@dataclass(frozen=True, kw_only=True)
class RegisterFile:
    """What one register says: who people are, their ids in other systems, and how they are spelled."""

    source: str
    people: pl.DataFrame
    ids: pl.DataFrame
    aliases: pl.DataFrame


def kind_of(columns: Sequence[str]) -> str | None:
    """Tell by its columns which register a table is; None: none that is known here."""
    present = set(columns)
    return next((kind for kind, needed in _NEEDED.items() if needed <= present), None)


def read_register(cells: pl.DataFrame, people_by_key: Mapping[str, int] | None = None) -> RegisterFile:
    """Read a register from cells of text; the list of other names needs `people_by_key`, MLBAM ids by Chadwick's keys.

    Raises:
        SourceRefusedError: it is none that is known here.
    """
    clean = cells.select(_cleaned(name) for name in cells.columns)
    match kind_of(cells.columns):
        case "chadwick":
            return _chadwick(clean)
        case "chadwick names":
            return _chadwick_names(clean, people_by_key or {})
        case "smart fantasy baseball":
            return _fantasy(clean)
    raise SourceRefusedError(
        "no register of players that is known here: Chadwick's has key_mlbam, its list of other names altname_last, "
        f"the Smart Fantasy Baseball map MLBID; this has {', '.join(cells.columns[:6])}"
    )


def _chadwick(cells: pl.DataFrame) -> RegisterFile:
    known = _numbered(cells, "key_mlbam")
    people = _table(
        known,
        PEOPLE,
        {
            "pro_first": "pro_played_first",
            "pro_last": "pro_played_last",
            "mlb_first": "mlb_played_first",
            "mlb_last": "mlb_played_last",
        },
    )
    return RegisterFile(source=CHADWICK, people=people, ids=_ids(known, _CHADWICK_IDS), aliases=_no(ALIASES))


def _chadwick_names(cells: pl.DataFrame, people_by_key: Mapping[str, int]) -> RegisterFile:
    keys = pl.DataFrame(
        {"key_person": list(people_by_key), PLAYER_ID: list(people_by_key.values())},
        schema={"key_person": pl.String, PLAYER_ID: pl.Int32},
    )
    known = cells.join(keys, on="key_person", how="inner")
    first = pl.coalesce("altname_first", "name_first")
    named = known.with_columns(spelling=pl.concat_str(first, pl.coalesce("altname_last", "name_last"), separator=" "))
    aliases = named.filter(pl.col("spelling").is_not_null())
    return RegisterFile(source=CHADWICK_NAMES, people=_no(PEOPLE), ids=_no(IDS), aliases=_table(aliases, ALIASES, {}))


def _fantasy(cells: pl.DataFrame) -> RegisterFile:
    known = _numbered(cells, "MLBID").with_columns(
        pl.col("BIRTHDATE").str.to_date("%m/%d/%Y", strict=False).alias("born")
    )
    dated = known.with_columns(
        birth_year=pl.col("born").dt.year(), birth_month=pl.col("born").dt.month(), birth_day=pl.col("born").dt.day()
    )
    columns = {"name_first": "FIRSTNAME", "name_last": "LASTNAME", "bats": "BATS", "throws": "THROWS"}
    people = _table(dated, PEOPLE, columns).unique(PLAYER_ID, keep="none", maintain_order=True)
    spellings = [name for name in cells.columns if name.endswith("NAME") and name not in {"FIRSTNAME", "LASTNAME"}]
    spellings += [name for name in ("LASTCOMMAFIRST", "NFBCLASTFIRST") if name in cells.columns]
    aliases = known.unpivot(spellings, index=PLAYER_ID, value_name="spelling").filter(pl.col("spelling").is_not_null())
    return RegisterFile(
        source=FANTASY,
        people=people,
        ids=_ids(known, _FANTASY_IDS),
        aliases=_table(aliases, ALIASES, {}).unique(maintain_order=True),
    )


def _cleaned(name: str) -> pl.Expr:
    text = pl.col(name).cast(pl.String).str.strip_chars().str.replace(r"^(-?\d+)\.0+$", "$1")
    return pl.when(text.is_in(_NOTHING)).then(None).otherwise(text).alias(name)


def _numbered(cells: pl.DataFrame, column: str) -> pl.DataFrame:
    number = pl.col(column).cast(pl.Int32, strict=False)
    return cells.with_columns(number.alias(PLAYER_ID)).filter(pl.col(PLAYER_ID) > 0)


def _ids(known: pl.DataFrame, systems: Mapping[str, str]) -> pl.DataFrame:
    present = {column: system for column, system in systems.items() if column in known.columns}
    long = known.unpivot(list(present), index=PLAYER_ID, variable_name="column", value_name="id")
    named = long.with_columns(pl.col("column").replace(present).alias("system")).filter(
        pl.col("id").is_not_null() & (pl.col("system") != MLBAM)
    )
    return _table(named, IDS, {}).unique(maintain_order=True)


def _table(cells: pl.DataFrame, schema: Mapping[str, type[pl.DataType]], renamed: Mapping[str, str]) -> pl.DataFrame:
    def column(name: str, kind: type[pl.DataType]) -> pl.Expr:
        source = renamed.get(name, name)
        if source not in cells.columns:
            return pl.lit(None, dtype=kind).alias(name)
        return pl.col(source).cast(kind, strict=False).alias(name)

    return cells.select(column(name, kind) for name, kind in schema.items())


def _no(schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict(schema))


MIXED_UP = "mixed_up"


def with_mixups(aliases: pl.DataFrame, names: Mapping[int, str]) -> pl.DataFrame:
    """Mark in `mixed_up` each spelling that shares no word with the man it stands beside and is another's whole name.

    `names` gives everyone's name by MLBAM id, "First Last".
    """
    keys = {normalize(name).key for name in names.values()}

    def mixed_up(player_id: int, spelling: str) -> bool:
        own = set(fold(names.get(player_id, spelling)))
        return own.isdisjoint(fold(spelling)) and normalize(spelling).key in keys

    marks = [mixed_up(*row) for row in aliases.select(PLAYER_ID, "spelling").iter_rows()]
    return aliases.with_columns(pl.Series(MIXED_UP, marks, dtype=pl.Boolean))
