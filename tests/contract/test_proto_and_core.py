"""The protobuf contract and ondeck_core declare the same fields, codes and ranges."""

import re
from enum import IntEnum
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor

from ondeck.v1 import instances_pb2
from ondeck.v1.error_reason_pb2 import ErrorReason
from ondeck_core.categories import InfieldAlignment, OutfieldAlignment, Park, PitchType, Side
from ondeck_core.instances import INSTANCE_TYPES, InstanceType
from ondeck_core.statcast.schema import NAMES


@pytest.mark.parametrize(
    ("core_enum", "proto_enum", "prefix"),
    [
        (Side, "Side", "SIDE_"),
        (PitchType, "PitchType", "PITCH_TYPE_"),
        (Park, "Park", "PARK_"),
        (InfieldAlignment, "InfieldAlignment", "INFIELD_ALIGNMENT_"),
        (OutfieldAlignment, "OutfieldAlignment", "OUTFIELD_ALIGNMENT_"),
    ],
)
def test_an_enum_code_has_the_same_number_in_core_and_proto(
    core_enum: type[IntEnum], proto_enum: str, prefix: str
) -> None:
    numbers = {
        value.name.removeprefix(prefix): value.number
        for value in instances_pb2.DESCRIPTOR.enum_types_by_name[proto_enum].values
    }
    words = {"L": "LEFT", "R": "RIGHT"} if core_enum is Side else {}
    assert {words.get(code.name, code.name): int(code) for code in core_enum} == numbers


@pytest.mark.parametrize("instance", INSTANCE_TYPES, ids=lambda each: each.message)
def test_an_instance_has_the_same_fields_in_core_and_proto(instance: InstanceType) -> None:
    single = instances_pb2.DESCRIPTOR.message_types_by_name[instance.message].fields
    columns = instances_pb2.DESCRIPTOR.message_types_by_name[f"{instance.message}Columns"].fields
    assert instance.names == tuple(field.name for field in single) == tuple(field.name for field in columns)
    for field, core_enum in zip(single, instance.fields, strict=True):
        assert (field.enum_type is not None) == (core_enum.codes is not None)
        assert field.has_presence == (core_enum.codes is None)
        assert (field.type == FieldDescriptor.TYPE_UINT32) == (core_enum.integer and not core_enum.flag)
        assert (field.type == FieldDescriptor.TYPE_BOOL) == core_enum.flag


@pytest.mark.parametrize("instance", INSTANCE_TYPES, ids=lambda each: each.message)
def test_fields_have_statcast_names(instance: InstanceType) -> None:
    assert set(instance.names) - set(NAMES) <= {"spray_angle", "park"}


def comments(source: Path) -> dict[str, str]:
    """Return the comment of each field or value of a proto file, in one line, by message and name."""
    found: dict[str, str] = {}
    scope, comment = "", ""
    for line in map(str.strip, source.read_text().splitlines()):
        if line.startswith("//"):
            comment += line[2:]
            continue
        if opened := re.match(r"(?:message|enum) (\w+) {", line):
            scope = opened[1]
        elif named := re.search(r"(\w+) = \d+;", line):
            found[f"{scope}.{named[1]}"] = comment
        comment = ""
    return found


def test_the_ranges_in_the_proto_comments_are_enforced(root: Path) -> None:
    by_name = comments(root / "proto" / "ondeck" / "v1" / "instances.proto")
    for instance in INSTANCE_TYPES:
        for field in (each for each in instance.fields if each.codes is None and not each.flag):
            comment = by_name[f"{instance.message}.{field.name}"]
            assert f"{field.low:g} to {field.high:g}" in comment, (field.name, comment)
            assert ("Required." in comment) == field.required, field.name


def test_every_error_reason_names_its_status(root: Path) -> None:
    by_name = comments(root / "proto" / "ondeck" / "v1" / "error_reason.proto")
    statuses = (
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "FAILED_PRECONDITION",
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "INTERNAL",
        "RESOURCE_EXHAUSTED",
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
    )
    for name in ErrorReason.keys()[1:]:
        assert any(status in by_name[f"ErrorReason.{name}"] for status in statuses), name
