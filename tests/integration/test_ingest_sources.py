"""Sources of Statcast rows: retries, circuit breaker, archive and replay."""

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import requests
import zstandard
from structlog.testing import capture_logs

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.decode import ROW_CAPS, decode_cells
from ondeck_core.statcast.parse import parse_cells
from ondeck_core.statcast.schema import COLUMNS, KEY, ColumnType
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.pipeline.load import LoadCounts
from ondeck_ingest.sources import archive
from ondeck_ingest.sources.base import (
    CircuitOpenError,
    RawResponse,
    Source,
    SourceRequest,
    SourceUnreachableError,
    day_request,
)
from ondeck_ingest.sources.files import FileSource, ReplaySource
from ondeck_ingest.sources.savant import SavantSource, patched_statcast
from ondeck_ingest.sources.simulator import SimulatedSource, play_half_innings
from ondeck_store.database import Database
from tests.factories.statcast_rows import as_csv, sample_cells
from tests.fixtures.savant import FakeSavant, Reply, make_savant_source

DAY = date(2024, 6, 3)
CELLS = sample_cells(DAY, days=1)
BODY = as_csv(CELLS)
HTML = b"<!doctype html><title>Just a moment...</title>"


def rows_of(raw: RawResponse) -> int:
    return decode_cells(raw.content).height


# All sources have the same interface.


async def test_every_source_returns_bytes_and_their_time(savant: FakeSavant, tmp_path: Path) -> None:
    savant.replies[DAY] = Reply(body=BODY)
    path = tmp_path / "day.csv"
    path.write_bytes(BODY)
    archive.put(tmp_path, "savant", DAY.isoformat(), BODY)
    half = play_half_innings(DAY)[0]
    cases: list[tuple[Source, SourceRequest, bytes]] = [
        (make_savant_source(savant.url), day_request(DAY), BODY),
        (FileSource(), SourceRequest(name=str(path)), BODY),
        (ReplaySource(home=tmp_path, name="savant"), day_request(DAY), BODY),
        (SimulatedSource(), half.request, half.content),
    ]
    for source, request, expected in cases:
        raw = await source.fetch(request, lambda raw: raw)
        assert raw is not None
        assert (raw.content, raw.fetched_at.utcoffset() is not None) == (expected, True)


# Deadlines and retries.


async def test_a_request_is_retried_before_the_day_fails(savant: FakeSavant) -> None:
    savant.replies[DAY] = Reply(status=500)
    with pytest.raises(SourceUnreachableError):
        await make_savant_source(savant.url, attempts=3).fetch(day_request(DAY), rows_of)
    assert savant.requested_days == [DAY] * 3


async def test_a_refused_response_is_requested_again(savant: FakeSavant) -> None:
    savant.replies[DAY] = Reply(body=HTML)

    def fail_then_parse(raw: RawResponse) -> int:
        savant.replies[DAY] = Reply(body=BODY)
        return rows_of(raw)

    assert await make_savant_source(savant.url, attempts=2).fetch(day_request(DAY), fail_then_parse) == CELLS.height


async def test_an_endless_response_times_out(savant: FakeSavant) -> None:
    savant.replies[DAY] = Reply(body=BODY, trickle=0.05)
    begin = time.monotonic()
    with pytest.raises(SourceUnreachableError, match="did not answer in time"):
        await make_savant_source(savant.url).fetch(day_request(DAY), rows_of)
    assert time.monotonic() - begin < 4


# The circuit breaker.


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nServer: " + b"a" * 100,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * 20,
    ],
    ids=["in the header", "in empty gzip"],
)
async def test_an_endless_response_without_chunks_times_out(savant: FakeSavant, raw: bytes) -> None:
    savant.otherwise = Reply(raw=raw, trickle=0.1)
    began = time.monotonic()
    with pytest.raises(SourceUnreachableError, match="did not answer in time"):
        await make_savant_source(savant.url).fetch(day_request(DAY), lambda raw: raw)
    assert time.monotonic() - began < 4


async def test_repeated_failures_open_the_breaker_and_log_once(savant: FakeSavant) -> None:
    source = make_savant_source(savant.url, failures=3)
    savant.replies[DAY] = Reply(status=403, body=HTML)
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(SourceUnreachableError, match="403"):
                await source.fetch(day_request(DAY), rows_of)
        for _ in range(20):
            with pytest.raises(
                CircuitOpenError, match=r"the circuit of savant is open for another 60 s: .* status 403"
            ):
                await source.fetch(day_request(DAY), rows_of)
    assert len(savant.requested_days) == 3
    assert [(each["event"], each["log_level"]) for each in logs] == [("circuit_opened", "warning")]
    assert (source.breaker.state.state, 50 < source.breaker.seconds_left() <= 60) == ("open", True)


async def test_web_pages_with_status_200_open_the_breaker_too(savant: FakeSavant) -> None:
    source = make_savant_source(savant.url, failures=2, attempts=5)
    savant.replies[DAY] = Reply(body=HTML)
    with pytest.raises(CircuitOpenError, match="it is an HTML page"):
        await source.fetch(day_request(DAY), rows_of)
    assert len(savant.requested_days) == 2


async def test_after_the_reset_time_one_request_closes_or_reopens_the_breaker(savant: FakeSavant) -> None:
    source = make_savant_source(savant.url, failures=2, seconds=0.3)
    savant.replies[DAY] = Reply(status=500)
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(SourceUnreachableError):
                await source.fetch(day_request(DAY), rows_of)
        await asyncio.sleep(0.35)
        with pytest.raises(SourceUnreachableError):  # one failure opens it again
            await source.fetch(day_request(DAY), rows_of)
        with pytest.raises(CircuitOpenError):
            await source.fetch(day_request(DAY), rows_of)
        savant.replies[DAY] = Reply(body=BODY)
        await asyncio.sleep(0.35)
        assert await source.fetch(day_request(DAY), rows_of) == CELLS.height
    assert [each["event"] for each in logs] == ["circuit_opened", "circuit_closed"]
    assert source.breaker.state.state == "closed"


# The archive and replays from it.


async def test_responses_are_archived_with_their_time_even_if_unreadable(
    savant: FakeSavant, database: Database, tmp_path: Path
) -> None:
    ingestor = Ingestor(engine=database.engine, source=make_savant_source(savant.url), home=tmp_path)
    for body in (BODY, HTML, BODY):
        savant.replies[DAY] = Reply(body=body)
        try:
            await ingestor.ingest(day_request(DAY))
        except SourceRefusedError:
            assert body == HTML
    kept = archive.list_versions(tmp_path, "savant", DAY.isoformat())
    assert [archive.read_version(each.path) for each in kept] == [BODY, HTML]
    assert all((datetime.now(UTC) - each.fetched_at).total_seconds() < 60 for each in kept)
    lines = (kept[0].path.parent / "fetched.jsonl").read_text().splitlines()
    assert [json.loads(line)["bytes"] for line in lines] == [len(BODY), len(HTML), len(BODY)]


def test_a_journal_line_truncated_by_a_crash_loses_no_response(tmp_path: Path) -> None:
    archive.put(tmp_path, "savant", "2024-06-03", BODY)
    folder = tmp_path / "raw" / "savant" / "2024-06-03"
    whole = (folder / "fetched.jsonl").read_text()
    (folder / "fetched.jsonl").write_text(whole[: len(whole) // 2])
    assert [archive.read_version(each.path) for each in archive.list_versions(tmp_path, "savant", "2024-06-03")] == [
        BODY
    ]


async def test_a_day_is_replayed_from_the_archive_without_network(database: Database, tmp_path: Path) -> None:
    for number, body in enumerate((BODY, HTML)):
        archive.put(tmp_path, "savant", DAY.isoformat(), body, datetime(2024, 6, 4, number, tzinfo=UTC))
    ingestor = Ingestor(engine=database.engine, source=ReplaySource(home=tmp_path, name="savant"), home=tmp_path)
    assert await ingestor.ingest(day_request(DAY)) == LoadCounts(rows_in=CELLS.height, inserted=CELLS.height)
    with pytest.raises(SourceUnreachableError, match="no response for savant 2024-06-04"):
        await ingestor.ingest(day_request(date(2024, 6, 4)))


async def test_an_empty_response_does_not_clear_a_day_in_a_replay(database: Database, tmp_path: Path) -> None:
    for number, body in enumerate((BODY, BODY.partition(b"\n")[0] + b"\n")):
        archive.put(tmp_path, "savant", DAY.isoformat(), body, datetime(2024, 6, 4, number, tzinfo=UTC))
    ingestor = Ingestor(engine=database.engine, source=ReplaySource(home=tmp_path, name="savant"), home=tmp_path)
    assert await ingestor.ingest(day_request(DAY)) == LoadCounts(rows_in=CELLS.height, inserted=CELLS.height)


@pytest.mark.parametrize(
    ("damaged", "complaint"),
    [(b"\x28\xb5\x2f\xfd", "cannot be read"), (zstandard.compress(BODY[:-9]), "does not match its SHA-256")],
    ids=["truncated", "replaced"],
)
async def test_a_damaged_archive_file_is_refused_and_the_previous_one_used(
    tmp_path: Path, damaged: bytes, complaint: str
) -> None:
    archive.put(tmp_path, "savant", DAY.isoformat(), BODY + BODY)
    (last,) = archive.list_versions(tmp_path, "savant", DAY.isoformat())
    last.path.write_bytes(damaged)
    source = ReplaySource(home=tmp_path, name="savant")
    with pytest.raises(SourceRefusedError, match=complaint):
        await source.fetch(day_request(DAY), rows_of)
    archive.put(tmp_path, "savant", DAY.isoformat(), BODY, datetime(2024, 6, 4, tzinfo=UTC))
    assert await source.fetch(day_request(DAY), rows_of) == CELLS.height


async def test_a_capped_response_is_refused_by_name(savant: FakeSavant, database: Database, tmp_path: Path) -> None:
    header, row = BODY.split(b"\n")[:2]
    savant.replies[DAY] = Reply(body=header + b"\n" + (row + b"\n") * ROW_CAPS[0])
    ingestor = Ingestor(engine=database.engine, source=make_savant_source(savant.url), home=tmp_path)
    with pytest.raises(
        SourceRefusedError, match=f"has {ROW_CAPS[0]} rows, the count at which Savant truncates a response"
    ):
        await ingestor.ingest(day_request(DAY))


# pybaseball and this project parse the same response equally.


def through_pybaseball(savant: SavantSource, day: date) -> Any:
    with patched_statcast(requests, savant.url) as statcast:
        return statcast(start_dt=str(day), end_dt=str(day), verbose=False, parallel=False)


PLAIN: dict[ColumnType, Callable[[Any], Any]] = {
    ColumnType.TEXT: str,
    ColumnType.DATE: lambda value: date.fromisoformat(str(value)[:10]),
    ColumnType.INTEGER: int,
    ColumnType.REAL: lambda value: float(np.float32(value)),
    ColumnType.DOUBLE: float,
}


def difference(frame: Any, rows: pl.DataFrame) -> list[str]:
    frame, rows = frame.sort_values(list(KEY)), rows.sort(KEY)
    known = frame.notna()
    return [
        column.name
        for column in COLUMNS
        if [
            PLAIN[column.kind](value) if there else None
            for value, there in zip(frame[column.name], known[column.name], strict=True)
        ]
        != rows[column.name].to_list()
    ]


def test_pybaseball_parses_a_sample_response_like_this_project(savant: FakeSavant) -> None:
    savant.replies[DAY] = Reply(body=BODY)
    frame = through_pybaseball(make_savant_source(savant.url), DAY)
    assert difference(frame, parse_cells(decode_cells(BODY)).rows) == []


@pytest.mark.realdata
@pytest.mark.parametrize("day", [date(2024, 3, 20), date(2024, 5, 2), date(2024, 6, 26)])
def test_pybaseball_parses_a_real_response_like_this_project(real_data: Path, savant: FakeSavant, day: date) -> None:
    body = gzip.decompress((real_data / f"statcast_csv/statcast_{day}.csv.gz").read_bytes())
    savant.replies[day] = Reply(body=body)
    frame = through_pybaseball(make_savant_source(savant.url), day)
    reading = parse_cells(decode_cells(body))
    assert (reading.rejected.height, len(frame)) == (0, reading.rows.height)
    assert difference(frame, reading.rows) == []


async def test_the_cache_of_pybaseball_stays_off(savant: FakeSavant, tmp_path: Path) -> None:
    import pybaseball  # noqa: PLC0415  slow to import

    before = pybaseball.cache.config.enabled, pybaseball.cache.config.cache_directory
    pybaseball.cache.config.enabled, pybaseball.cache.config.cache_directory = True, str(tmp_path)
    try:
        for body in (BODY, BODY.replace(b"made", b"sent")):
            savant.replies[DAY] = Reply(body=body)
            read = await make_savant_source(savant.url).fetch(day_request(DAY), lambda raw: raw)
            assert read is not None
            assert read.content == body
        assert (pybaseball.cache.config.enabled, list(tmp_path.iterdir())) == (True, [])
    finally:
        pybaseball.cache.config.enabled, pybaseball.cache.config.cache_directory = before
    assert savant.requested_days == [DAY, DAY]
