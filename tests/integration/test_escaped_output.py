"""What callers, files and folders supply appears escaped in logs and output: it forges no line and no colour."""

import asyncio
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import grpc
import polars as pl
import pytest

from ondeck.v1.model_service_pb2 import MoveAliasRequest
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import PredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_registry.import_onnx import publish_graph
from ondeck_store.database import Database
from tests.conformance.stock_client import INSTANCE, SECONDS
from tests.factories.onnx_graphs import scoring_graph
from tests.factories.statcast_rows import as_csv, sample_cells
from tests.fixtures.server import serving

HOSTILE = "a\x1b]0;title\x07\n2026-01-01T00:00:00Z [error    ] forged\r\x9b31m"
CELLS = sample_cells(date(2022, 6, 2), days=1)


def run(*words: str) -> str:
    """Return what a command prints."""
    command = [sys.executable, "-m", "ondeck_cli", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300)
    return done.stdout.decode()


def require_escaped(text: str) -> None:
    lines = text.split("\n")
    assert [line for line in lines if not line.isprintable()] == []
    assert [line for line in lines if line.startswith("2026-01-01T00:00:00Z")] == []
    assert "forged" in text


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_of_the_server(tmp_path: Path, form: str) -> None:
    models = tmp_path / "models"
    publish_graph(models, "good", scoring_graph())
    (models / HOSTILE / "1").mkdir(parents=True)
    metadata = (("x-correlation-id", "[error] forged"), ("user-agent", "b"))
    with (
        serving(models, log=tmp_path / "log", log_format=form) as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        request = PredictRequest(model=ModelSpec(name=HOSTILE), batted_ball=INSTANCE)
        change = MoveAliasRequest(model=HOSTILE, alias=HOSTILE, reason=HOSTILE)
        with pytest.raises(grpc.RpcError):
            PredictionServiceStub(channel).Predict(request, timeout=SECONDS, metadata=metadata)
        with pytest.raises(grpc.RpcError):
            ModelServiceStub(channel).MoveAlias(change, timeout=SECONDS, metadata=metadata)
    log = (tmp_path / "log").read_text()
    require_escaped(log)
    if form == "json":
        assert all(json.loads(line)["event"] for line in log.splitlines())


async def test_the_output_of_ingest(tmp_path: Path, store_home: Path, database: Database) -> None:
    home = ("--home", str(store_home))
    invalid, rejected = tmp_path / f"{HOSTILE}.csv", tmp_path / f"2{HOSTILE}.csv"
    invalid.write_text("a,b\n1,2\n")
    first = pl.int_range(pl.len()) == 0
    cells = CELLS.with_columns(pl.when(first).then(pl.lit(HOSTILE)).otherwise(pl.col("balls")).alias("balls"))
    rejected.write_bytes(as_csv(cells))
    for path in (invalid, rejected):
        require_escaped(await asyncio.to_thread(run, "ingest", "files", str(path), *home))
    async with database.engine.connect() as connection:
        number = (await connection.exec_driver_sql("SELECT id FROM quarantine")).scalar_one()
    require_escaped(await asyncio.to_thread(run, "ingest", "quarantine", "list", *home))
    require_escaped(await asyncio.to_thread(run, "ingest", "quarantine", "show", str(number), *home))


@pytest.mark.parametrize("words", [("train", HOSTILE), ("models", "verify", HOSTILE), ("evaluate", HOSTILE)])
def test_the_errors_of_a_command(words: tuple[str, ...], tmp_path: Path) -> None:
    require_escaped(run(*words, "--model-repository", str(tmp_path)))


def test_an_error_with_a_path(tmp_path: Path) -> None:
    text = run("serve", "--model-repository", str(tmp_path / HOSTILE), "--port", "0", "--admin-port", "0")
    require_escaped(text)
