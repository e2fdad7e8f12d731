"""Instances as the very bytes that go over the wire, written beforehand for the load generator."""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import Message

from ondeck.v1 import instances_pb2
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, PredictRequest, StreamPredictRequest
from ondeck_core.instances import Matrix
from ondeck_core.tasks import Task


def unary(task: Task, instances: Matrix) -> list[Message]:
    """One Predict request for each row."""
    spec = ModelSpec(name=task.name)
    return [PredictRequest(model=spec, **{task.instance.path: _message(task, row)}) for row in instances]


def stream(task: Task, instances: Matrix) -> list[Message]:
    """One StreamPredict request for each row."""
    spec = ModelSpec(name=task.name)
    return [
        StreamPredictRequest(id=str(number), model=spec, **{task.instance.path: _message(task, row)})
        for number, row in enumerate(instances)
    ]


def batch(task: Task, instances: Matrix, rows: int) -> list[Message]:
    """One BatchPredict request for each `rows` rows."""
    spec = ModelSpec(name=task.name)
    kind = getattr(instances_pb2, f"{task.instance.message}Columns")
    return [
        BatchPredictRequest(model=spec, **{task.instance.columns_path: kind(**_columns(task, chunk))})
        for chunk in np.split(instances, range(rows, len(instances), rows))
    ]


def write(messages: Iterable[Message], path: Path) -> None:
    """Write messages, each behind its length as four bytes."""
    with path.open("wb") as out:
        for message in messages:
            body = message.SerializeToString()
            out.write(struct.pack("<I", len(body)) + body)


def _message(task: Task, row: Matrix) -> Any:  # noqa: ANN401  the class is chosen by name
    present = {
        field.name: int(value) if field.whole or field.codes else float(value)
        for field, value in zip(task.instance.fields, row, strict=True)
        if not np.isnan(value)
    }
    return getattr(instances_pb2, task.instance.message)(**present)


def _columns(task: Task, rows: Matrix) -> dict[str, list[Any]]:
    columns = dict(zip(task.instance.fields, rows.T, strict=True))
    return {
        field.name: np.nan_to_num(column).astype(int).tolist() if field.codes else column.tolist()
        for field, column in columns.items()
        if not np.isnan(column).all()
    }
