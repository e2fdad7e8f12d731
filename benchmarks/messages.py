"""Rows of instances as messages of the contract, and as the very bytes that go over the wire."""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import Message

from ondeck.v1 import instances_pb2
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, PredictRequest, StreamPredictRequest
from ondeck_core.instances import InstanceType, Matrix
from ondeck_core.tasks import Task


def unary(task: Task, instances: Matrix) -> list[Message]:
    """One Predict request for each row."""
    spec = ModelSpec(name=task.name)
    return [PredictRequest(model=spec, **{task.instance.path: message(task.instance, row)}) for row in instances]


def stream(task: Task, instances: Matrix) -> list[Message]:
    """One StreamPredict request for each row."""
    spec = ModelSpec(name=task.name)
    return [
        StreamPredictRequest(id=str(number), model=spec, **{task.instance.path: message(task.instance, row)})
        for number, row in enumerate(instances)
    ]


def batch(task: Task, instances: Matrix, rows: int) -> list[Message]:
    """One BatchPredict request for each `rows` rows."""
    spec = ModelSpec(name=task.name)
    return [
        BatchPredictRequest(model=spec, **{task.instance.columns_path: columns(task.instance, chunk)})
        for chunk in np.split(instances, range(rows, len(instances), rows))
    ]


def write(messages: Iterable[Message], path: Path) -> None:
    """Write messages, each behind its length as four bytes."""
    with path.open("wb") as out:
        for message in messages:
            body = message.SerializeToString()
            out.write(struct.pack("<I", len(body)) + body)


def message(instance: InstanceType, row: Matrix) -> Any:  # noqa: ANN401  the class is chosen by name
    """Write one instance, of shape (fields,)."""
    present = {
        field.name: int(value) if field.whole or field.codes else float(value)
        for field, value in zip(instance.fields, row, strict=True)
        if not np.isnan(value)
    }
    return getattr(instances_pb2, instance.message)(**present)


def columns(instance: InstanceType, rows: Matrix) -> Any:  # noqa: ANN401  the class is chosen by name
    """Write many instances, of shape (n, fields), as columns; a column of nothing is left out."""
    given = {
        field.name: np.nan_to_num(column).astype(int).tolist() if field.codes else column.tolist()
        for field, column in zip(instance.fields, rows.T, strict=True)
        if not np.isnan(column).all()
    }
    return getattr(instances_pb2, f"{instance.message}Columns")(**given)
