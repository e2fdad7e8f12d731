"""Encoding of Open Inference responses: typed elements."""

from typing import Any

import numpy as np
import pytest

from inference.grpc_service_pb2 import ModelInferResponse
from ondeck_server.services.open_inference.encode import write_typed

FIELDS = {
    "BOOL": ("bool_contents", np.bool_),
    "INT8": ("int_contents", np.int8),
    "INT64": ("int64_contents", np.int64),
    "UINT64": ("uint64_contents", np.uint64),
    "FP32": ("fp32_contents", np.float32),
    "FP64": ("fp64_contents", np.float64),
}


@pytest.mark.parametrize("datatype", FIELDS)
@pytest.mark.parametrize("shape", [(1,), (127, 2), (1024,), (2047, 8), (40_000, 3)])
def test_typed_elements_are_those_of_the_output(datatype: str, shape: tuple[int, ...]) -> None:
    field, kind = FIELDS[datatype]
    output: Any = (np.random.default_rng(3).standard_normal(shape) * 50).astype(kind)
    response = ModelInferResponse()
    response.outputs.add(name="y", datatype=datatype, shape=shape)
    assert write_typed(response, [output])
    read = ModelInferResponse.FromString(response.SerializeToString())
    contents = read.outputs[0].contents
    assert [each.name for each, _ in contents.ListFields()] == [field]
    np.testing.assert_array_equal(np.array(getattr(contents, field), dtype=kind).reshape(shape), output)


def test_a_type_without_a_typed_field_is_not_written() -> None:
    response = ModelInferResponse()
    response.outputs.add(name="y", datatype="FP16", shape=(1,))
    assert not write_typed(response, [np.zeros(1, np.float16)])
    assert not response.outputs[0].HasField("contents")
