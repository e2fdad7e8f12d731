"""Counts the fields of a request in the protobuf wire format, before it is parsed: parsing multiplies memory.

An empty submessage takes two bytes on the wire and a hundred or more once it is parsed. Pure.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

VALUES_PER_FIELD: Final = 256  # packed varints that need about as much memory as a small message
_PACKED: Final = "packed varints"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types; others begin and end groups, which have no content
_MAX_VARINT_BITS: Final = 70  # ten bytes
_CONTINUES: Final = 0x80  # bit of a byte of a varint: another one follows
_FIXED_TYPES: Final = {
    FieldDescriptor.TYPE_DOUBLE,
    FieldDescriptor.TYPE_FLOAT,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_SFIXED64,
    FieldDescriptor.TYPE_SFIXED32,
    FieldDescriptor.TYPE_STRING,
    FieldDescriptor.TYPE_BYTES,
}

FieldTable: TypeAlias = "Mapping[int, FieldTable | str]"  # by number, the fields that contain others; see field_table


def field_table(message: Descriptor, known: "dict[str, dict[int, FieldTable | str]] | None" = None) -> FieldTable:
    """Return the fields of a message type that contain others: the tables of submessages, and packed varints."""
    known = {} if known is None else known
    if message.full_name not in known:
        table = known[message.full_name] = {}
        for field in message.fields:
            if field.message_type is not None:
                table[field.number] = field_table(field.message_type, known)
            elif field.is_repeated and field.type not in _FIXED_TYPES:
                table[field.number] = _PACKED
    return known[message.full_name]


def has_repeated_fields(message: Descriptor) -> bool:
    """Return whether a message type or one that it contains has a repeated field; recursive types count as such."""

    def has_repeated(inner: Descriptor, outer: tuple[str, ...]) -> bool:
        return inner.full_name in outer or any(
            field.is_repeated
            or (field.message_type is not None and has_repeated(field.message_type, (*outer, inner.full_name)))
            for field in inner.fields
        )

    return has_repeated(message, ())


def count_fields(message: bytes, table: FieldTable, limit: int) -> int:
    """Return the number of fields in a message and its submessages; `VALUES_PER_FIELD` packed varints count as one.

    Ends beyond the limit, and at the first byte that is not valid: the parser reports it.
    """
    count, at, end = 0, 0, len(message)
    outer: list[tuple[int, FieldTable]] = []
    try:
        while count <= limit:
            if at >= end:
                if not outer:
                    break
                end, table = outer.pop()
                continue
            count += 1
            tag, at = message[at], at + 1
            if tag >= _CONTINUES:
                tag, at = _varint(message, at - 1)
            kind = tag & 7
            if kind != _BYTES:
                at = _skip(message, at, kind)
                continue
            length, at = message[at], at + 1
            if length >= _CONTINUES:
                length, at = _varint(message, at - 1)
            inner = table.get(tag >> 3)
            if inner is None:
                at += length
            elif isinstance(inner, str):
                at += length
                count += length // VALUES_PER_FIELD
            else:
                outer.append((end, table))
                end, table = min(at + length, end), inner
    except IndexError:  # as `_varint`, or the message ends within a field
        pass
    return count


def _skip(message: bytes, at: int, kind: int) -> int:
    """Return the position behind the value of a field whose wire type is not `_BYTES`."""
    if kind == _FIXED32:
        return at + 4
    if kind == _FIXED64:
        return at + 8
    if kind != _VARINT:
        return at
    return at + 1 if message[at] < _CONTINUES else _varint(message, at)[1]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number at a position, and the position behind it.

    Raises:
        IndexError: the message ends within the number, or the number is too long.
    """
    value = 0
    for shift in range(0, _MAX_VARINT_BITS, 7):
        byte, at = message[at], at + 1
        value |= (byte & ~_CONTINUES) << shift
        if byte < _CONTINUES:
            return value, at
    raise IndexError(at)
