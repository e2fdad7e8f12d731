"""Rows of instances as request messages, and as files of length-delimited messages."""

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
    """Make one Predict request for each row."""
    spec = ModelSpec(name=task.name)
    return [PredictRequest(model=spec, **{task.instance.path: message(task.instance, row)}) for row in instances]


def stream(task: Task, instances: Matrix) -> list[Message]:
    """Make one StreamPredict request for each row."""
    spec = ModelSpec(name=task.name)
    return [
        StreamPredictRequest(id=str(number), model=spec, **{task.instance.path: message(task.instance, row)})
        for number, row in enumerate(instances)
    ]


def batch(task: Task, instances: Matrix, rows: int) -> list[Message]:
    """Make one BatchPredict request for each `rows` rows."""
    spec = ModelSpec(name=task.name)
    return [
        BatchPredictRequest(model=spec, **{task.instance.columns_path: columns(task.instance, chunk)})
        for chunk in np.split(instances, range(rows, len(instances), rows))
    ]


def write(messages: Iterable[Message], path: Path) -> None:
    """Write messages, each after its length as four bytes, little-endian."""
    with path.open("wb") as out:
        for message in messages:
            body = message.SerializeToString()
            out.write(struct.pack("<I", len(body)) + body)


def message(instance: InstanceType, row: Matrix) -> Any:  # noqa: ANN401  the class is chosen by name
    """Make the message of one instance, of shape (fields,); missing values are not set."""
    present = {
        field.name: int(value) if field.integer or field.codes else float(value)
        for field, value in zip(instance.fields, row, strict=True)
        if not np.isnan(value)
    }
    return getattr(instances_pb2, instance.message)(**present)


def columns(instance: InstanceType, rows: Matrix) -> Any:  # noqa: ANN401  the class is chosen by name
    """Make the columns of many instances, of shape (n, fields); a column without any value is not set."""
    given = {
        field.name: np.nan_to_num(column).astype(int).tolist() if field.codes else column.tolist()
        for field, column in zip(instance.fields, rows.T, strict=True)
        if not np.isnan(column).all()
    }
    return getattr(instances_pb2, f"{instance.message}Columns")(**given)
