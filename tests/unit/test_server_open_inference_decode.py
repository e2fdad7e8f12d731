"""Decoding of Open Inference requests: input tensors, requested outputs and scheduling parameters."""

from typing import Any

import numpy as np
import pytest

from inference.grpc_service_pb2 import ModelInferRequest
from ondeck_core.errors import InvalidInstanceError
from ondeck_core.instances import Matrix
from ondeck_core.manifest import FP32, Tensor
from ondeck_server.services.open_inference.decode import MAX_ROWS, decode_input, output_indices, scheduling

NAN = float("nan")
TAKES = Tensor(name="x", datatype=FP32, shape=(-1, 3))
GIVES = (
    Tensor(name="probabilities", datatype=FP32, shape=(-1, 2)),
    Tensor(name="label", datatype="INT64", shape=(-1,)),
)
ROWS = np.array([[1, 2, NAN], [4, 5, 6]], dtype=np.float32)


def make_request(rows: Matrix = ROWS, **tensor: Any) -> ModelInferRequest:
    described = {"name": "x", "datatype": FP32, "shape": rows.shape} | tensor
    request = ModelInferRequest(model_name="m", raw_input_contents=[rows.tobytes()])
    request.inputs.add(**described)
    return request


def typed(rows: Matrix = ROWS, **tensor: Any) -> ModelInferRequest:
    request = make_request(rows, **tensor)
    request.inputs[0].contents.fp32_contents.extend(rows.ravel().tolist())
    del request.raw_input_contents[:]
    return request


def refused_fields(request: ModelInferRequest) -> list[str]:
    with pytest.raises(InvalidInstanceError) as invalid:
        decode_input(request, TAKES)
    return [each.field for each in invalid.value.violations]


def test_raw_and_typed_elements_are_the_same_rows_nan_included() -> None:
    np.testing.assert_array_equal(decode_input(make_request(), TAKES), ROWS)
    np.testing.assert_array_equal(decode_input(typed(), TAKES), ROWS)
    assert decode_input(typed(), TAKES).dtype == np.float32


@pytest.mark.parametrize("unknown", [b"", b"\xfd\x3fabcd", b"\xfa\x3f\x04abcd"])
def test_typed_elements_among_unknown_fields_are_read_exactly(unknown: bytes) -> None:
    rows = np.random.default_rng(5).standard_normal((700, 3)).astype(np.float32)
    request = typed(rows)
    content = request.inputs[0].contents.SerializeToString()
    request.inputs[0].contents.ParseFromString(unknown + content + unknown)
    np.testing.assert_array_equal(decode_input(request, TAKES), rows)


def with_fields(request: ModelInferRequest, **fields: Any) -> ModelInferRequest:
    request.MergeFrom(ModelInferRequest(**fields))
    return request


MIXED = make_request()
MIXED.inputs[0].contents.fp32_contents.append(1)
OTHER_FIELD = typed()
OTHER_FIELD.inputs[0].contents.int_contents.append(1)
NOTHING = make_request()
del NOTHING.raw_input_contents[:]
SHARED = make_request()
SHARED.inputs[0].parameters["shared_memory_region"].string_param = "region"
del SHARED.raw_input_contents[:]


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (ModelInferRequest(model_name="m"), ["inputs"]),
        (with_fields(make_request(), inputs=[ModelInferRequest.InferInputTensor(name="y")]), ["inputs"]),
        (make_request(name="features"), ["inputs[0].name"]),
        (make_request(datatype="FP64"), ["inputs[0].datatype"]),
        (make_request(datatype="INT32", name="z"), ["inputs[0].name", "inputs[0].datatype"]),
        (make_request(shape=(6,)), ["inputs[0].shape"]),
        (make_request(shape=(3, 2)), ["inputs[0].shape"]),
        (make_request(shape=(0, 3)), ["inputs[0].shape"]),
        (make_request(shape=(-1, 3)), ["inputs[0].shape"]),
        (make_request(shape=(MAX_ROWS + 1, 3)), ["inputs[0].shape"]),
        (make_request(shape=(1, 3)), ["raw_input_contents[0]"]),
        (typed(shape=(1, 3)), ["inputs[0].contents.fp32_contents"]),
        (with_fields(make_request(), raw_input_contents=[b""]), ["raw_input_contents"]),
        (MIXED, ["inputs[0].contents"]),
        (OTHER_FIELD, ["inputs[0].contents.int_contents"]),
        (NOTHING, ["inputs[0].contents.fp32_contents"]),
        (SHARED, ["inputs[0].parameters.shared_memory_region"]),
    ],
)
def test_an_input_that_does_not_match_the_model_is_refused_by_field(
    request_: ModelInferRequest, fields: list[str]
) -> None:
    assert refused_fields(request_) == fields


def requesting(*names: str) -> ModelInferRequest:
    request = make_request()
    for name in names:
        request.outputs.add(name=name)
    return request


def test_outputs_are_selected_in_the_requested_order() -> None:
    assert output_indices(requesting(), GIVES) == [0, 1]
    assert output_indices(requesting("label"), GIVES) == [1]
    assert output_indices(requesting("label", "probabilities"), GIVES) == [1, 0]


@pytest.mark.parametrize(
    ("names", "field"),
    [(("labels",), "outputs[0].name"), (("label", "label"), "outputs[1].name"), (("",), "outputs[0].name")],
)
def test_an_unknown_or_repeated_output_is_refused(names: tuple[str, ...], field: str) -> None:
    with pytest.raises(InvalidInstanceError) as invalid:
        output_indices(requesting(*names), GIVES)
    assert [each.field for each in invalid.value.violations] == [field]


@pytest.mark.parametrize("parameter", ["classification", "shared_memory_region"])
def test_an_unsupported_output_parameter_is_refused_by_name(parameter: str) -> None:
    request = requesting("label")
    request.outputs[0].parameters[parameter].int64_param = 2
    with pytest.raises(InvalidInstanceError) as invalid:
        output_indices(request, GIVES)
    assert [each.field for each in invalid.value.violations] == [f"outputs[0].parameters.{parameter}"]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, (False, None)),
        ({"priority": ("uint64_param", 1)}, (True, None)),
        ({"priority": ("uint64_param", 0)}, (False, None)),
        ({"priority": ("uint64_param", 2**60)}, (False, None)),
        ({"timeout": ("int64_param", 1500)}, (False, 0.0015)),
        ({"timeout": ("int64_param", 0)}, (False, None)),
        ({"content_type": ("string_param", "np")}, (False, None)),
    ],
)
def test_priority_and_timeout_are_read_and_zero_means_default(
    parameters: dict[str, tuple[str, Any]], expected: tuple[bool, float | None]
) -> None:
    request = make_request()
    for name, (kind, value) in parameters.items():
        setattr(request.parameters[name], kind, value)
    assert scheduling(request) == expected


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("priority", "string_param", "high"),
        ("priority", "int64_param", -1),
        ("timeout", "double_param", 1.0),
        ("timeout", "int64_param", -5),
        ("sequence_id", "int64_param", 3),
        ("sequence_start", "bool_param", True),
    ],
)
def test_an_unsupported_parameter_is_refused_by_name(name: str, kind: str, value: Any) -> None:
    request = make_request()
    setattr(request.parameters[name], kind, value)
    with pytest.raises(InvalidInstanceError) as invalid:
        scheduling(request)
    assert [each.field for each in invalid.value.violations] == [f"parameters.{name}"]
