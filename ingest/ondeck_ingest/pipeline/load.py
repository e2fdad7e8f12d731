"""Load one unit, a day or a file, in one transaction: parse, store, quarantine invalid rows, update the ledger."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime, time
from typing import Final

import polars as pl
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.download_time import DownloadTime
from ondeck_core.statcast.leagues import LEAGUE, MAJOR
from ondeck_core.statcast.parse import CorrectionRule, ParseResult, count_reasons, parse_cells, reject_unusable
from ondeck_core.statcast.row_checks import count_unknown_codes
from ondeck_store.ingest.ledger import LedgerEntry, finish_load, record, record_columns, start_load
from ondeck_store.ingest.quarantine import active_rules, quarantine_rejected, supersede_stored
from ondeck_store.pitches.upsert import RowOrigin, UpsertCounts, upsert_pitches

MAX_FAULTY_SHARE: Final = 0.01  # of the rows of a run; above it the run ends with exit code 2
OUTDATED: Final = "row of an older download than the stored one: not stored (--replace-newer stores it)"
log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class IngestUnit:
    """What one transaction loads: source, name, the day if it is one, the SHA-256 and the download of the bytes.

    `replaces_newer`: its rows replace those of newer downloads, too.
    """

    source: str
    name: str
    day: date | None = None
    sha256: str | None = None
    simulated: bool = False
    download: DownloadTime | None = None
    replaces_newer: bool = False


@dataclass(frozen=True, kw_only=True)
class LoadCounts:
    """The rows of a unit by outcome: new, changed, unchanged, outdated, quarantined; rows_in is their sum.

    Outdated rows are not stored, because a newer download of their pitch is. `unordered` of the changed rows may be of
    an older download than the former ones. `changed_by_unit` counts the changed rows by the name of the unit.
    `unreadable_cells` are the cells of optional columns without which rows were stored. `reasons` counts why rows were
    quarantined and cells left out, and the codes that are not known; `other_leagues` counts the stored rows that are
    not of the major leagues, by league.
    """

    rows_in: int = 0
    inserted: int = 0
    changed: int = 0
    unchanged: int = 0
    outdated: int = 0
    unordered: int = 0
    quarantined: int = 0
    unreadable_cells: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict, compare=False)
    other_leagues: Mapping[str, int] = field(default_factory=dict, compare=False)
    changed_by_unit: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def numbers(self) -> dict[str, int]:
        """The counts by name, as the ledger has them."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.type is int}

    @property
    def needs_attention(self) -> bool:
        """Whether more than 1 % of the rows are quarantined, outdated, or were stored without a cell."""
        return max(self.quarantined, self.outdated, self.unreadable_cells) > self.rows_in * MAX_FAULTY_SHARE

    def __add__(self, other: "LoadCounts") -> "LoadCounts":
        totals = Counter(self.numbers) + Counter(other.numbers)
        return LoadCounts(
            **totals,
            reasons=dict(Counter(self.reasons) + Counter(other.reasons)),
            other_leagues=dict(Counter(self.other_leagues) + Counter(other.other_leagues)),
            changed_by_unit=dict(Counter(self.changed_by_unit) + Counter(other.changed_by_unit)),
        )

    def __str__(self) -> str:
        outdated = f", {self.outdated} outdated" if self.outdated else ""
        cells = f"; {self.unreadable_cells} unreadable cells left out" if self.unreadable_cells else ""
        return (
            f"{self.rows_in} rows in: {self.inserted} new, {self.changed} changed, {self.unchanged} unchanged, "
            f"{self.quarantined} quarantined{outdated}{cells}"
        )


async def load_unit(engine: AsyncEngine, unit: IngestUnit, cells: pl.DataFrame | None) -> LoadCounts:
    """Load the cells of a unit in one transaction; None is a day without data.

    Raises:
        SourceRefusedError: the cells are no Statcast export, none of their rows is valid, or they contradict stored
            rows; the database is unchanged.
    """
    if cells is None:
        async with engine.begin() as connection:
            await record(connection, make_entry(unit, LoadCounts(), games=0))
        return LoadCounts()
    reading = await asyncio.to_thread(parse_cells, cells, await read_rules(engine))
    del cells  # the text of a month weighs more than everything parsed from it
    reject_unusable(reading)
    try:
        return await _store(engine, unit, reading)
    except IntegrityError as conflict:
        raise SourceRefusedError(f"it contradicts what is stored: {conflict.orig}") from conflict


async def _store(engine: AsyncEngine, unit: IngestUnit, reading: ParseResult) -> LoadCounts:
    rows = as_simulated(reading.rows) if unit.simulated else reading.rows
    async with engine.begin() as connection:
        load = await start_load(connection, unit.source, unit.name)
        origin = RowOrigin(download=_bound_by_days(unit, rows), load=load, replaces_newer=unit.replaces_newer)
        upserted = await upsert_pitches(
            connection, rows, simulated=unit.simulated, absent=reading.absent, origin=origin
        )
        await supersede_stored(connection, rows)
        await quarantine_rejected(connection, source=unit.source, unit=unit.name, reading=reading)
        counts = replace(
            count_rows(reading, upserted),
            other_leagues={} if unit.simulated else _other_leagues(rows),
            changed_by_unit={unit.name: upserted.changed} if upserted.changed else {},
        )
        await finish_load(connection, load, inserted=counts.inserted, changed=counts.changed, days=_game_days(rows))
        await record(connection, make_entry(unit, counts, games=rows["game_pk"].n_unique()))
        new_columns = await record_columns(connection, reading.unknown, unit.source, unit.name)
    if new_columns:
        log.warning("unknown_columns_found", detail="stored with their rows", unit=unit.name, columns=new_columns)
    for column in reading.unreadable:
        log.warning("unreadable_cells_found", detail="rows stored without them", unit=unit.name, **asdict(column))
    for code, count in count_unknown_codes(reading.rows).items():
        log.warning("unknown_codes_found", unit=unit.name, detail=code, rows=count)
    for reason, count in count_reasons(reading).items():
        log.warning("rows_quarantined", unit=unit.name, reason=reason, rows=count)
    if counts.outdated:
        log.warning("outdated_rows_found", detail="not stored", unit=unit.name, rows=counts.outdated)
    if counts.unordered:
        log.warning("unordered_rows_changed", detail="maybe older", unit=unit.name, rows=counts.unordered)
    for league, count in counts.other_leagues.items():
        log.warning("other_league_found", detail="stored, trains nothing", unit=unit.name, league=league, rows=count)
    return counts


def _game_days(rows: pl.DataFrame) -> tuple[date, date] | None:
    first, last = rows["game_date"].min(), rows["game_date"].max()
    return (first, last) if isinstance(first, date) and isinstance(last, date) else None


def _bound_by_days(unit: IngestUnit, rows: pl.DataFrame) -> DownloadTime | None:
    """Return the time of the download, which is not before the last game day; a file's own time may be wrong.

    Raises:
        SourceRefusedError: the stated time of the download is before the last game day.
    """
    download, days = unit.download, _game_days(rows)
    if download is None or days is None:
        return download
    first = max(download.not_before, datetime.combine(days[1], time(), UTC))
    if first <= download.not_after:
        return DownloadTime(not_before=first, not_after=download.not_after)
    if download.not_before == download.not_after:
        raise SourceRefusedError(f"it has games of {days[1]}, later than its download, {download.not_after:%Y-%m-%d}")
    return DownloadTime(not_before=first, not_after=datetime.now(UTC))


def _other_leagues(rows: pl.DataFrame) -> dict[str, int]:
    """Count the rows that are not of the major leagues, by league."""
    counts = rows.group_by(LEAGUE).len().filter(pl.col("league") != MAJOR)
    return dict(counts.sort("league").iter_rows())


def as_simulated(rows: pl.DataFrame) -> pl.DataFrame:
    """Negate the ids of games and players, so that none can equal a real id."""
    return rows.with_columns(-pl.col("game_pk", "batter", "pitcher", "on_1b", "on_2b", "on_3b"))


async def read_rules(engine: AsyncEngine) -> list[CorrectionRule]:
    """Read the active correction rules."""
    async with engine.connect() as connection:
        return await active_rules(connection)


def count_rows(reading: ParseResult, upserted: UpsertCounts) -> LoadCounts:
    """Count the parsed rows by outcome.

    Raises:
        ArithmeticError: the outcomes do not add up to the rows that came.
    """
    counts = LoadCounts(
        rows_in=reading.rows_in,
        inserted=upserted.inserted,
        changed=upserted.changed,
        unchanged=upserted.unchanged,
        outdated=upserted.outdated,
        unordered=upserted.unordered,
        quarantined=reading.rejected.height,
        unreadable_cells=sum(column.rows for column in reading.unreadable),
        reasons=count_reasons(reading)
        | {str(column): column.rows for column in reading.unreadable}
        | count_unknown_codes(reading.rows)
        | ({OUTDATED: upserted.outdated} if upserted.outdated else {}),
    )
    stored = counts.inserted + counts.changed + counts.unchanged
    if counts.rows_in != stored + counts.outdated + counts.quarantined:
        raise ArithmeticError(f"the rows do not add up: {counts}")
    return counts


def make_entry(unit: IngestUnit, counts: LoadCounts, games: int) -> LedgerEntry:
    """Make the ledger entry of a loaded unit."""
    return LedgerEntry(
        source=unit.source,
        unit=unit.name,
        state="done" if counts.rows_in else "empty",
        day=unit.day,
        rows_in=counts.rows_in,
        inserted=counts.inserted,
        changed=counts.changed,
        unchanged=counts.unchanged,
        outdated=counts.outdated,
        unordered=counts.unordered,
        quarantined=counts.quarantined,
        unreadable_cells=counts.unreadable_cells,
        games=games,
        raw_sha256=unit.sha256,
        simulated=unit.simulated,
    )
