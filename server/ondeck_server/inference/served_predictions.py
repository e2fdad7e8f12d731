"""The sample of served predictions: a bounded queue that calls append to and a background task writes to the database.

A call never waits for it: if the queue is full or the database is lost, rows are dropped and counted.
"""

import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ondeck_core.derived_stats import ResultColumns
from ondeck_core.instances import Matrix
from ondeck_core.manifest import Manifest
from ondeck_runtime.metrics import CounterFamily, MetricsBlock
from ondeck_server.inference.predictor import PredictionResult

if TYPE_CHECKING:
    from ondeck_store.served_predictions.writes import ServedPrediction

MAX_WAITING_ROWS: Final = 16_384  # more than a day of games has; a row needs up to 2 KiB
MAX_ENTRY_ROWS: Final = 128  # so that the writer blocks the event loop for a moment only
SAMPLED_ROWS: Final = CounterFamily(
    "ondeck_served_predictions",
    "sampled predictions: `written` to the database, `dropped` as the queue was full, or `failed` as the database was "
    "slow or gone; only if [sampling](../how-to/see-whether-predictions-were-right.md) is on",
    ("outcome",),
)

PitchKeys: TypeAlias = NDArray[np.int32]  # of shape (n, 3): game_pk, at_bat_number, pitch_number; zeros: no key


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledRows:
    """n sampled predictions of one call: instances (n, fields), a result table (n, columns), and keys (n, 3) or None.

    It keeps no version loaded.
    """

    served_at: float  # seconds since 1970
    manifest: Manifest
    columns: ResultColumns
    correlation_id: str
    instances: Matrix
    table: Matrix
    keys: PitchKeys | None

    def __len__(self) -> int:
        return len(self.table)


class PredictionSample:
    """A sample of the served predictions at a rate from 0 to 1."""

    def __init__(self, rate: float, block: MetricsBlock) -> None:
        self._rate = rate
        self._waiting: deque[SampledRows] = deque()
        self._rows = 0
        self._draw = np.random.default_rng()
        self._dropped, self._written, self._failed = (
            block.counter(SAMPLED_ROWS, outcome) for outcome in ("dropped", "written", "failed")
        )

    def draws_call(self) -> bool:
        """Return whether the prediction of a call for one instance belongs to the sample."""
        return self._rate >= 1 or random.random() < self._rate  # noqa: S311  no secret

    def add(self, result: PredictionResult, instances: Matrix, keys: PitchKeys | None, correlation_id: str) -> None:
        """Queue the predictions of a call, or drop those that do not fit."""
        rows = len(result.table)
        room = MAX_WAITING_ROWS - self._rows
        if rows > room:
            self._dropped.inc(rows - room)
            if not room:
                return
            keys = None if keys is None else keys[:room]
        version = result.lease.version
        sampled = SampledRows(
            served_at=time.time(),
            manifest=version.manifest,
            columns=version.columns,
            correlation_id=correlation_id,
            instances=instances[:room],
            table=result.table[:room].copy(),  # the table of a run has the rows of other calls
            keys=keys,
        )
        self._waiting.append(sampled)
        self._rows += len(sampled)

    def add_batch(
        self, result: PredictionResult, instances: Matrix, keys: PitchKeys | None, correlation_id: str
    ) -> None:
        """Queue copies of some predictions of a call for many instances."""
        rows = len(result.table)
        chosen = self._draw.binomial(rows, self._rate)
        kept = min(chosen, MAX_WAITING_ROWS - self._rows)
        self._dropped.inc(chosen - kept)
        if not kept:
            return
        picked = np.sort(self._draw.choice(rows, kept, replace=False, shuffle=False))
        for start in range(0, kept, MAX_ENTRY_ROWS):
            rows_of_entry = picked[start : start + MAX_ENTRY_ROWS]
            part = PredictionResult(lease=result.lease, table=result.table[rows_of_entry])
            keys_of_entry = None if keys is None else keys[rows_of_entry]
            self.add(part, instances[rows_of_entry], keys_of_entry, correlation_id)

    @property
    def waiting_rows(self) -> int:
        """Number of rows that wait to be written."""
        return self._rows

    def take(self, rows: int) -> list[SampledRows]:
        """Remove and return the oldest entries, of about so many rows."""
        taken: list[SampledRows] = []
        while self._waiting and rows > 0:
            taken.append(self._waiting.popleft())
            rows -= len(taken[-1])
            self._rows -= len(taken[-1])
        return taken

    def count_written(self, rows: int) -> None:
        """Count rows that are stored."""
        self._written.inc(rows)

    def count_failed(self, rows: int) -> None:
        """Count rows that were taken and could not be stored."""
        self._failed.inc(rows)


def stored_rows(sampled: SampledRows) -> Iterator["ServedPrediction"]:
    """Yield the rows of the table for sampled predictions."""
    from ondeck_store.served_predictions.writes import ServedPrediction  # noqa: PLC0415  only with a database

    columns, manifest = sampled.columns, sampled.manifest
    served_at, digest = datetime.fromtimestamp(sampled.served_at, UTC), bytes.fromhex(manifest.digest)
    for number, row in enumerate(sampled.table):
        key = [None] * 3 if sampled.keys is None or not sampled.keys[number, 0] else sampled.keys[number].tolist()
        yield ServedPrediction(
            served_at=served_at,
            model=manifest.model,
            version=manifest.version,
            digest=digest,
            correlation_id=sampled.correlation_id,
            instance=sampled.instances[number].astype("<f4").tobytes(),
            probabilities=row[: columns.outcomes].astype("<f4").tobytes(),
            ensemble_spread=float(row[columns.floats - 2]),
            prediction_sets=[int(each) for each in row[columns.floats : -1]],
            game_pk=key[0],
            at_bat_number=key[1],
            pitch_number=key[2],
        )
