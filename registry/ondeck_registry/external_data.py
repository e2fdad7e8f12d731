"""Finds tensors of an ONNX graph whose values are in other files, before ONNX Runtime opens them.

ONNX Runtime would read such a file from the working directory of the process, or from a memory address, without any
checksum. The messages below have only those fields of ONNX that lead to a tensor.
"""

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from ondeck_core.errors import ArtifactRefusedError, printable
from ondeck_core.manifest import MODEL_FILE

_PACKAGE: Final = "ondeck.external_data"
_FIELDS: Final = {
    "Model": {"graph": (7, "Graph"), "training_info": (20, "Training"), "functions": (25, "Function")},
    "Training": {"initialization": (1, "Graph"), "algorithm": (2, "Graph")},
    "Function": {"node": (7, "Node"), "attribute_proto": (11, "Attribute")},
    "Graph": {"node": (1, "Node"), "initializer": (5, "Tensor"), "sparse_initializer": (15, "SparseTensor")},
    "Node": {"attribute": (5, "Attribute")},
    "Attribute": {
        "t": (5, "Tensor"),
        "g": (6, "Graph"),
        "tensors": (10, "Tensor"),
        "graphs": (11, "Graph"),
        "sparse_tensor": (22, "SparseTensor"),
        "sparse_tensors": (23, "SparseTensor"),
    },
    "SparseTensor": {"values": (1, "Tensor"), "indices": (2, "Tensor")},
    "Tensor": {"external_data": (13, "Entry")},
    "Entry": {},
}


def check_self_contained(graph: bytes) -> None:
    """Check that every tensor of a graph is inside the graph file.

    Raises:
        ArtifactRefusedError: the values of a tensor are elsewhere, or the content is no ONNX graph.
    """
    try:
        model = _MODEL.FromString(graph)
    except DecodeError as broken:
        raise ArtifactRefusedError(f"{MODEL_FILE} is not a graph that can be run: it is no ONNX file") from broken
    for tensor in _tensors(model):
        if tensor.data_location or tensor.external_data:
            name = printable(tensor.name.decode(errors="replace"), max_length=80)
            raise ArtifactRefusedError(f"{MODEL_FILE} keeps the tensor {name!r} outside of the graph file")


def _tensors(model: Message) -> Iterator[Any]:
    """Yield the tensors at any depth; a graph may be inside of an attribute of a node, and so on."""
    waiting: list[Message] = [model]
    while waiting:
        message = waiting.pop()
        if message.DESCRIPTOR.name == "Tensor":
            yield message
            continue
        for name in _FIELDS[message.DESCRIPTOR.name]:
            waiting.extend(getattr(message, name))


def _create_message_class() -> Any:  # noqa: ANN401  the class is made at run time
    """Make the class of the model; every field is repeated, so that a field that occurs twice is seen twice."""
    file = FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto2")
    for kind, fields in _FIELDS.items():
        message = file.message_type.add(name=kind)
        for name, (number, target) in fields.items():
            message.field.add(
                name=name,
                number=number,
                label=FieldDescriptorProto.LABEL_REPEATED,
                type=FieldDescriptorProto.TYPE_MESSAGE,
                type_name=f".{_PACKAGE}.{target}",
            )
        if kind == "Tensor":
            optional, number_type = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.TYPE_INT32
            message.field.add(name="name", number=8, label=optional, type=FieldDescriptorProto.TYPE_BYTES)
            message.field.add(name="data_location", number=14, label=optional, type=number_type)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())  # type: ignore[no-untyped-call]  # protobuf types it so
    found = pool.FindMessageTypeByName(f"{_PACKAGE}.Model")  # type: ignore[no-untyped-call]  # as above
    return GetMessageClass(found)


_MODEL: Final = _create_message_class()
