"""Structures of the Arrow C data interface, made field by field, so that they can break its rules."""

import ctypes
import struct
from collections.abc import Sequence
from typing import Any


class Schema(ctypes.Structure):
    """`ArrowSchema`."""


Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.c_void_p),
    ("dictionary", ctypes.POINTER(Schema)),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]


class Array(ctypes.Structure):
    """`ArrowArray`."""


Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.c_void_p),
    ("children", ctypes.c_void_p),
    ("dictionary", ctypes.POINTER(Array)),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]

_RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_NEW_CAPSULE = ctypes.pythonapi.PyCapsule_New
_NEW_CAPSULE.restype = ctypes.py_object
_NEW_CAPSULE.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Column:
    """An object that hands over two structures, which it owns. `released` counts how often each was released."""

    def __init__(self, schema: Schema, array: Array) -> None:
        self.schema, self.array, self.released = schema, array, [0, 0]
        self._release = [_RELEASE(self._released_schema), _RELEASE(self._released_array)]
        for structure, release in zip((schema, array), self._release, strict=True):
            structure.release = ctypes.cast(release, ctypes.c_void_p)

    def _released_schema(self, at: int) -> None:
        self.released[0] += 1
        Schema.from_address(at).release = None

    def _released_array(self, at: int) -> None:
        self.released[1] += 1
        Array.from_address(at).release = None

    def __len__(self) -> int:
        return 2

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        capsules = zip((self.schema, self.array), (b"arrow_schema", b"arrow_array"), strict=True)
        return tuple(_NEW_CAPSULE(ctypes.addressof(structure), name, None) for structure, name in capsules)


def array(rows: int, content: Sequence[bytes | None], skew: int = 0, **fields: Any) -> Array:
    """An array with these buffers, `skew` bytes behind where numbers may lie."""
    held = [
        None if buffer is None else ctypes.create_string_buffer(bytes(skew) + buffer + bytes(64)) for buffer in content
    ]
    places = [None if buffer is None else ctypes.addressof(buffer) + skew for buffer in held]
    pointers = (ctypes.c_void_p * max(len(places), 1))(*places)
    made = Array(length=rows, n_buffers=len(content), buffers=ctypes.addressof(pointers))
    made.held = held, pointers  # type: ignore[attr-defined]  # as long as the array
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def strings(*texts: str, wide: bool = False, last: int | None = None, skew: int = 0, **fields: Any) -> Array:
    """An array of `string`, or `large_string`. `last` takes the place of its last offset."""
    data = [text.encode() for text in texts]
    offsets = [sum(map(len, data[:row])) for row in range(len(data) + 1)]
    offsets[-1] = offsets[-1] if last is None else last
    packed = struct.pack(f"<{len(offsets)}{'q' if wide else 'i'}", *offsets)
    return array(len(texts), [None, packed, b"".join(data)], skew, **fields)
