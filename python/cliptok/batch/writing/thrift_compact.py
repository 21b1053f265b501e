"""Thrift's compact protocol, as far as the footers of Parquet files use it: any struct to values and back.

The format: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. A struct is a dict from a
field's number to (type, value), a list is (type of its elements, values); everything else is an int, float or bytes.
What is read and written again is the same, byte for byte, whatever fields later versions of Parquet add.
"""

import struct
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
Struct = dict[int, tuple[int, Any]]

_DEEPEST = 32
_INTEGERS = (I16, I32, I64)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise ValueError("a footer ends in the middle of a value")
        self._at += size
        return self._data[self._at - size : self._at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number in a footer is too long")

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def value(self, kind: int, depth: int, in_list: bool = False) -> Any:
        if depth > _DEEPEST:
            raise ValueError("a footer is nested too deep")
        if kind in (TRUE, FALSE):
            return self.take(1)[0] if in_list else None  # A field's type is its value.
        if kind == BYTE:
            return self.take(1)[0]
        if kind in _INTEGERS:
            return self.zigzag()
        if kind == DOUBLE:
            return struct.unpack("<d", self.take(8))[0]
        if kind == BINARY:
            return self.take(self.varint())
        if kind in (LIST, SET):
            (head,) = self.take(1)
            size = head >> 4 if head >> 4 != 15 else self.varint()
            return head & 15, [self.value(head & 15, depth + 1, True) for _ in range(size)]
        if kind == STRUCT:
            return self.struct(depth + 1)
        raise ValueError(f"a footer has a value of type {kind}, which Parquet does not use")

    def struct(self, depth: int = 0) -> Struct:
        found: Struct = {}
        number = 0
        while head := self.take(1)[0]:
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            found[number] = (head & 15, self.value(head & 15, depth))
        return found


def read_struct(data: bytes) -> Struct:
    """The struct that `data` begins with. Raises ValueError for anything else."""
    return _Reader(data).struct()


def write_struct(value: Struct) -> bytes:
    """The bytes of a struct, its fields in the order of the dict."""
    out = bytearray()
    _write_struct(value, out)
    return bytes(out)


def _write_struct(value: Struct, out: bytearray) -> None:
    before = 0
    for number, (kind, content) in value.items():
        if 0 < number - before < 16:
            out.append((number - before) << 4 | kind)
        else:
            out.append(kind)
            _write_varint(_zigzag(number), out)
        before = number
        if kind not in (TRUE, FALSE):
            _write(kind, content, out)
    out.append(0)


def _write(kind: int, value: Any, out: bytearray) -> None:
    if kind in (TRUE, FALSE, BYTE):
        out.append(value)
    elif kind in _INTEGERS:
        _write_varint(_zigzag(value), out)
    elif kind == DOUBLE:
        out += struct.pack("<d", value)
    elif kind == BINARY:
        _write_varint(len(value), out)
        out += value
    elif kind in (LIST, SET):
        of, values = value
        out.append((len(values) if len(values) < 15 else 15) << 4 | of)
        if len(values) >= 15:
            _write_varint(len(values), out)
        for each in values:
            _write(of, each, out)
    else:
        _write_struct(value, out)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else ~(value << 1)


def _write_varint(value: int, out: bytearray) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
