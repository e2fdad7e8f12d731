"""ONNX models as editable graphs, without the `onnx` package: its messages, with the fields that a rewrite reads.

Fields that are not declared here are kept as they are when a model is parsed and serialized.
"""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final, TypeAlias

import numpy as np
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
NodeProto: TypeAlias = Any  # the classes are made at run time

ML_DOMAIN: Final = "ai.onnx.ml"
_PACKAGE: Final = "ondeck.onnx"
_FIELDS: Final[Mapping[str, str]] = {
    "Model": "graph=7:Graph opset_import=8*:Opset functions=25*:Unread training_info=20*:Unread",
    "Graph": "node=1*:Node initializer=5*:Tensor input=11*:ValueInfo output=12*:ValueInfo "
    "sparse_initializer=15*:Unread",
    "Node": "input=1*:STRING output=2*:STRING op_type=4:STRING attribute=5*:Attribute domain=7:STRING",
    "Attribute": "name=1:STRING f=2:FLOAT i=3:INT64 s=4:BYTES t=5:Tensor g=6:Unread floats=7*:FLOAT ints=8*:INT64 "
    "strings=9*:BYTES graphs=11*:Unread type=20:INT32",
    "Tensor": "dims=1*:INT64 data_type=2:INT32 float_data=4*:FLOAT int64_data=7*:INT64 name=8:STRING raw_data=9:BYTES",
    "ValueInfo": "name=1:STRING",
    "Opset": "domain=1:STRING version=2:INT64",
    "Unread": "",
}
_FLOAT, _UINT8, _INT64 = 1, 2, 7
_DATA_TYPES: Final[Mapping[int, np.dtype[Any]]] = {_FLOAT: np.dtype("<f4"), _INT64: np.dtype("<i8")}
_TENSOR_TYPES: Final[Mapping[str, int]] = {"float32": _FLOAT, "uint8": _UINT8, "int64": _INT64}
_SINGLE: Final = {1: "f", 2: "i", 3: "s"}
_TENSOR_ATTRIBUTE: Final = 4
_SEQUENCES: Final = {6: "floats", 7: "ints", 8: "strings"}
_SUBGRAPHS: Final = {5, 10}
_NUMBERS: Final = {"floats": np.float32, "ints": np.int64}


class UneditableGraphError(ValueError):
    """A graph has parts of which a rewrite would not know the meaning."""


class Graph:
    """The main graph of a model: nodes in order, constants by name, and the outputs to compute."""

    def __init__(self, model: bytes, outputs: Sequence[str] | None = None) -> None:
        """Parse a model; without `outputs` it computes all that it declares.

        Raises:
            UneditableGraphError: it has functions, training steps, subgraphs or sparse tensors.
        """
        self._model = _MODEL.FromString(model)
        graph = self._model.graph
        self.nodes: list[NodeProto] = list(graph.node)
        self.outputs = frozenset((each.name for each in graph.output) if outputs is None else outputs)
        self._inputs = {each.name for each in graph.input}
        self._tensors = {each.name: each for each in graph.initializer if each.name not in self._inputs}
        has_subgraph = any(each.type in _SUBGRAPHS for node in self.nodes for each in node.attribute)
        if self._model.functions or self._model.training_info or graph.sparse_initializer or has_subgraph:
            raise UneditableGraphError("it has functions, subgraphs or sparse tensors")
        used = {name for node in self.nodes for name in (*node.input, *node.output)}
        self._names = {*used, *self._inputs, *self._tensors}

    def constant(self, name: str) -> Array | None:
        """Return the values of a constant; None if it is computed, or neither float32 nor int64."""
        tensor = self._tensors.get(name)
        kind = _DATA_TYPES.get(tensor.data_type) if tensor is not None else None
        if tensor is None or kind is None:
            return None
        fields = tensor.float_data if tensor.data_type == _FLOAT else tensor.int64_data
        values = np.frombuffer(tensor.raw_data, dtype=kind) if tensor.raw_data else np.array(fields, dtype=kind)
        shaped: Array = values.reshape(tuple(tensor.dims))
        return shaped

    def add_constant(self, hint: str, values: Array) -> str:
        """Add a constant of float32 or int64 values; returns its name."""
        name = self.new_name(hint)
        self._tensors[name] = make_tensor(values, name)
        return name

    def opset(self, domain: str) -> int:
        """Return the version of the operators of a domain; 0 if it has none here."""
        return max((each.version for each in self._model.opset_import if each.domain == domain), default=0)

    def set_opset(self, domain: str, version: int) -> None:
        """Set the version of the operators of a domain that has one."""
        for each in self._model.opset_import:
            if each.domain == domain:
                each.version = version

    def new_name(self, hint: str) -> str:
        """Return a name that no tensor has."""
        tried = (f"{hint}/{number}" for number in count())
        name = next(each for each in tried if each not in self._names)
        self._names.add(name)
        return name

    def producer(self, name: str) -> NodeProto | None:
        """Return the node that computes a tensor."""
        return next((node for node in self.nodes if name in node.output), None)

    def count_uses(self, name: str) -> int:
        """Count the inputs of nodes, and the outputs of the graph, that a tensor is."""
        return sum(list(node.input).count(name) for node in self.nodes) + (name in self.outputs)

    def replace(self, node: NodeProto, replacements: Sequence[NodeProto]) -> None:
        """Put nodes in the place of one."""
        at = next(index for index, each in enumerate(self.nodes) if each is node)
        self.nodes[at : at + 1] = replacements

    def rename(self, name: str, new: str) -> None:
        """Rename a tensor that a node computes."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [new if each == name else each for each in names]

    def infer_type(self, output: str) -> None:
        """Remove the declared type of an output; ONNX Runtime infers it."""
        for each in self._model.graph.output:
            if each.name == output:
                each.Clear()
                each.name = output

    def drop_unused(self) -> int:
        """Drop the outputs that are not asked for and all that only they need; returns the number of dropped nodes."""
        needed, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        dropped = len(self.nodes) - len(kept)
        self.nodes = kept[::-1]
        self._tensors = {name: tensor for name, tensor in self._tensors.items() if name in needed}
        return dropped

    def serialize(self) -> bytes:
        """Return the model with the present nodes, constants and outputs."""
        graph = self._model.graph
        inputs = [each for each in graph.initializer if each.name in self._inputs]
        outputs = [each for each in graph.output if each.name in self.outputs]
        for field, messages in (("node", self.nodes), ("initializer", [*inputs, *self._tensors.values()])):
            _assign(graph, field, messages)
        _assign(graph, "output", outputs)
        model: bytes = self._model.SerializeToString()
        return model


def _assign(message: Any, field: str, values: Sequence[Any]) -> None:  # noqa: ANN401  the class is made at run time
    copies = [type(each).FromString(each.SerializeToString()) for each in values]  # a cleared field frees its messages
    message.ClearField(field)
    getattr(message, field).extend(copies)


def read_attributes(node: NodeProto) -> dict[str, Any] | None:
    """Return the attributes of a node: numbers, bytes, arrays, lists of bytes; None if it has one of another type."""
    values: dict[str, Any] = {}
    for each in node.attribute:
        if each.type in _SINGLE:
            values[each.name] = getattr(each, _SINGLE[each.type])
        elif each.type in _SEQUENCES:
            field = _SEQUENCES[each.type]
            items = list(getattr(each, field))
            values[each.name] = np.array(items, dtype=_NUMBERS[field]) if field in _NUMBERS else items
        else:
            return None
    return values


def make_node(kind: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> NodeProto:  # noqa: ANN401  ONNX's own
    """Make a node with one output; attributes are int, bytes, arrays of float32 or int64, lists of bytes or tensors."""
    node = _NODE(op_type=kind, domain=domain, input=inputs, output=[output])
    for name, value in attributes.items():
        if isinstance(value, _TENSOR):
            node.attribute.add(name=name, type=_TENSOR_ATTRIBUTE, t=value)
            continue
        field = _field_of(value)
        number = next(key for key, each in (_SINGLE | _SEQUENCES).items() if each == field)
        content = value.tolist() if isinstance(value, np.ndarray) else value
        node.attribute.add(name=name, type=number, **{field: content})
    return node


def make_tensor(values: Array, name: str = "") -> Any:  # noqa: ANN401  the class is made at run time
    """Make a tensor of float32, uint8 or int64 values."""
    little_endian = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    kind = _TENSOR_TYPES[values.dtype.name]
    return _TENSOR(name=name, data_type=kind, dims=values.shape, raw_data=little_endian.tobytes())


def _field_of(value: object) -> str:
    if isinstance(value, np.ndarray):
        return "floats" if value.dtype == np.float32 else "ints"
    if isinstance(value, list):
        return "strings"
    return "s" if isinstance(value, bytes) else "i"


def _create_message_classes() -> dict[str, Any]:
    """Make the message classes of `_FIELDS`, in which `*` marks a repeated field."""
    file = FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto2")
    for kind, fields in _FIELDS.items():
        message = file.message_type.add(name=kind)
        for text in fields.split():
            declared, _, target = text.partition(":")
            name, _, number = declared.partition("=")
            field = message.field.add(name=name, number=int(number.rstrip("*")))
            is_repeated = number.endswith("*")
            field.label = FieldDescriptorProto.LABEL_REPEATED if is_repeated else FieldDescriptorProto.LABEL_OPTIONAL
            if target in _FIELDS:
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{target}"
            else:
                field.type = FieldDescriptorProto.Type.Value(f"TYPE_{target}")
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())  # type: ignore[no-untyped-call]  # protobuf types it so
    return {
        kind: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{kind}"))  # type: ignore[no-untyped-call]  # as above
        for kind in _FIELDS
    }


_CLASSES: Final = _create_message_classes()
_MODEL, _NODE, _TENSOR = (_CLASSES[kind] for kind in ("Model", "Node", "Tensor"))
