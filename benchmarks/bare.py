"""The bare ONNX Runtime call on the same rows: what serving is measured against."""

import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ondeck_core.instances import Matrix
from ondeck_core.manifest import INPUT, OUTPUT


def rows_per_second(graph: Path, features: Matrix, batch: int, seconds: float) -> float:
    """Run `batch` rows a call, rotating through the rows, on one thread, for so many seconds."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    chunks = [np.ascontiguousarray(features[at : at + batch]) for at in range(0, len(features) - batch + 1, batch)]
    for chunk in chunks[:50]:
        session.run([OUTPUT], {INPUT: chunk})
    calls, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        session.run([OUTPUT], {INPUT: chunks[calls % len(chunks)]})
        calls += 1
    return calls * batch / (time.perf_counter() - begin)
