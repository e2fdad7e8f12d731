"""Embeds tensors whose values lie in files beside a graph, so that a version has one graph file with one checksum."""

import math
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ondeck_core.errors import ArtifactRefusedError, OndeckError, printable
from ondeck_registry.file_reader import MIB, MissingFileError, read_file
from ondeck_registry.onnx_session import external_tensors, name_of, parse_model

_SHOWN_NAME: Final = 80
_MAX_INT64: Final = 2**63 - 1
_BITS: Final = {  # of an element, by data type; strings cannot be external
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((7, 11, 13, 14), 64),
    15: 128,
    **dict.fromkeys((21, 22, 23), 4),
    **dict.fromkeys((25, 26), 2),
}


class WeightsNotEmbeddedError(OndeckError):
    """The weights of a graph lie in other files, and cannot be embedded into the graph file."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedGraph:
    """A graph with all of its tensors, and the files, as the graph names them, that some came from."""

    graph: bytes
    files: tuple[str, ...]


def embed(graph: bytes, folder: Path, max_bytes: int) -> EmbeddedGraph:
    """Embed the tensors that a graph keeps in other files of its folder, or of folders in it.

    Raises:
        WeightsNotEmbeddedError: a file is missing, elsewhere or not that of this graph, or all is too large.
        ArtifactRefusedError: the content is no ONNX graph.
    """
    _check_size(len(graph), max_bytes)
    model = parse_model(graph)
    external = list(external_tensors(model))
    if not external:
        return EmbeddedGraph(graph=graph, files=())
    files: dict[str, bytes] = {}
    size = len(graph)
    for tensor in external:
        entries = {
            each.key.decode(errors="replace"): each.value.decode(errors="replace") for each in tensor.external_data
        }
        location = entries.get("location", "")
        size += _size(tensor, entries, location)
        _check_size(size, max_bytes)
        if location not in files:
            files[location] = _read(folder, location, max_bytes)
        tensor.raw_data = _slice(files[location], tensor, entries, location)
        for field in ("external_data", "data_location"):
            tensor.ClearField(field)
    return EmbeddedGraph(graph=model.SerializeToString(), files=tuple(files))


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise WeightsNotEmbeddedError(
            f"the graph with its weights is larger than the limit of {max_bytes // MIB} MiB; --max-graph-mib sets "
            "another one, up to 2047"
        )


def _read(folder: Path, location: str, max_bytes: int) -> bytes:
    parts = PurePosixPath(location).parts
    if not parts or "\0" in location or ".." in parts or PurePosixPath(location).is_absolute():
        raise _refusal(location, "outside of its own folder: only files beside the graph are read; export it again")
    path = folder / location
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise _refusal(location, "a symbolic link to another folder: copy that file here in its place")
    try:
        return read_file(path, max_bytes)
    except MissingFileError:
        raise _refusal(
            location,
            "which is missing: put it beside the graph, or export the graph again with its weights inside, as "
            "onnx.save_model does by default",
        ) from None
    except ArtifactRefusedError as refused:
        raise _refusal(location, f"which is refused: {refused}") from None


def _size(tensor: Any, entries: dict[str, str], location: str) -> int:  # noqa: ANN401  the class is made at run time
    """Return the size of a tensor in bytes, as its shape and data type require."""
    stated, bits = entries.get("length"), _BITS.get(tensor.data_type)
    if bits is None or any(size < 0 for size in tensor.dims):
        raise _refusal(location, f"where the tensor {name_of(tensor)} has an unknown number of bytes: export it again")
    size: int = min(-(-math.prod(tensor.dims) * bits // 8), _MAX_INT64)
    if stated not in (None, str(size)):
        shown = printable(stated, max_length=_SHOWN_NAME)
        raise _refusal(
            location, f"where the tensor {name_of(tensor)} of {size} bytes has {shown} bytes: export it again"
        )
    return size


def _slice(content: bytes, tensor: Any, entries: dict[str, str], location: str) -> bytes:  # noqa: ANN401  as above
    offset, size = entries.get("offset", "0"), _size(tensor, entries, location)
    is_number = offset.isascii() and offset.isdigit() and len(offset) <= len(str(_MAX_INT64))
    begin = int(offset) if is_number else _MAX_INT64
    if begin + size > len(content):
        raise _refusal(
            location,
            f"which has {len(content)} bytes and ends before the tensor {name_of(tensor)} does: it is not the file "
            "that was exported with this graph",
        )
    return content[begin : begin + size]


def _refusal(location: str, reason: str) -> WeightsNotEmbeddedError:
    name = printable(location, max_length=_SHOWN_NAME)
    return WeightsNotEmbeddedError(f"the graph keeps weights in the file {name!r}, {reason}")
