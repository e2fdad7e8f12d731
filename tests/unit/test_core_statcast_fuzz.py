"""Random cells and headers: each row is read or rejected, or the table is refused, with no other outcome."""

import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.decode import decode_cells
from ondeck_core.statcast.parse import EXTRA, parse_cells
from ondeck_core.statcast.row_checks import (
    CODE,
    CONTRADICTORY,
    MISSING,
    NO_KEY,
    OUT_OF_RANGE,
    REPEATED_KEY,
    UNREADABLE,
    UNREADABLE_CELLS,
)
from ondeck_core.statcast.schema import NAMES, REQUIRED
from tests.unit.test_core_statcast_parse import A_ROW

CODES = {CONTRADICTORY, MISSING, NO_KEY, OUT_OF_RANGE, REPEATED_KEY, UNREADABLE}
OLD_NAMES = ("start_speed", "px", "pitch_id", "pitcher_1", "fielder_2_duplicated_0", "spin_dir", "catcher")
CELL = st.one_of(
    st.none(),
    st.sampled_from(["", "null", "NA", "nan", "inf", "-1", "0", "1e400", "660271.0", "2024-05-02", "9" * 40, " 7 "]),
    st.text(max_size=12),
    st.floats().map(str),
    st.integers().map(str),
)


@st.composite
def tables(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(st.integers(0, 6))
    columns = dict.fromkeys(REQUIRED, None) if draw(st.booleans()) else {}
    others = st.one_of(st.sampled_from([*NAMES, *OLD_NAMES]), st.text(min_size=1, max_size=8))
    columns |= dict.fromkeys(draw(st.lists(others, max_size=8)), None)
    filled = {
        name: [draw(CELL) if draw(st.integers(0, 3)) == 0 else A_ROW.get(name) for _ in range(rows)] for name in columns
    }
    return pl.DataFrame(filled, schema=dict.fromkeys(columns, pl.String))


@settings(max_examples=300, deadline=None)
@given(tables())
def test_no_row_is_lost_or_invented(cells: pl.DataFrame) -> None:
    try:
        reading = parse_cells(cells)
    except SourceRefusedError:
        return
    assert reading.rows.height + reading.rejected.height == cells.height
    assert set(reading.rejected[CODE]) <= CODES
    assert reading.rows.columns == [*NAMES, EXTRA, UNREADABLE_CELLS]
    assert reading.rows.select(REQUIRED).null_count().sum_horizontal().sum() == 0
    assert (reading.rows["batter"] > 0).all()


@pytest.mark.realdata
@pytest.mark.parametrize("seed", range(12))
def test_a_real_file_with_any_damage_is_read_or_refused(real_data: Path, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  random damage, no secret
    files = sorted([*(real_data / "statcast_csv").glob("*.gz"), *(real_data / "schema_samples").glob("*.gz")])
    damaged = bytearray(rng.choice(files).read_bytes())
    for _ in range(rng.randrange(4)):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    try:
        cells = decode_cells(bytes(damaged[: rng.randrange(1, 2 * len(damaged))]))
        reading = parse_cells(cells)
    except SourceRefusedError:
        return
    assert reading.rows_in == cells.height
