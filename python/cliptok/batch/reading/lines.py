"""Text files with one text per line, and the blocks of lines that these and JSON lines are read in."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.places import Place, Raw
from cliptok.batch.reading.streams import Source

BLOCK = 1 << 23
MAX_LINE_BYTES = 1 << 30
"""Bytes of a line. A longer one is an error before there is no memory left for it, as where a device never ends."""


def read_text(source: Source, column: str, keep: list[str], place: Place) -> Iterator[Raw]:
    """Each line is a text."""
    if keep:
        raise BadInputError(f"a text file has no column {keep[0]!r} to keep, only {column!r}")
    row = place.row
    yield Raw(pa.table({column: pa.nulls(0, pa.large_binary())}), place.offset, place)
    for block, offset in blocks_of_lines(source.stream, place.offset):
        lines = _lines(block)
        yield Raw(pa.table({column: lines}), source.position(), source.place(row, offset, row + 1))
        row += len(lines)


def blocks_of_lines(stream: Any, offset: int) -> Iterator[tuple[bytes, int]]:
    """Blocks of complete lines, some 8 MiB each, and the bytes before each, `offset` of them before the first.

    Only a line feed ends a line; the last may lack it. Raises BadInputError for one of more than MAX_LINE_BYTES.
    """
    parts: list[bytes] = []
    while block := stream.read(BLOCK):
        end = block.rfind(b"\n") + 1
        if end:
            lines = b"".join([*parts, memoryview(block)[:end]])  # Copied once.
            yield lines, offset
            offset += len(lines)
            parts = []
        if end < len(block):
            parts.append(block[end:])
        if sum(map(len, parts)) > MAX_LINE_BYTES:
            raise BadInputError(
                f"the line that begins behind byte {offset:,} has more than {MAX_LINE_BYTES:,} bytes, the most that are"
                " read"
            )
    if parts:
        yield b"".join(parts), offset


def _lines(block: bytes) -> pa.Array:
    """The lines of a block without line feeds, as Arrow binary, vectorized: no Python object per line."""
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(data))
    offsets = np.zeros(len(ends) + 1, np.int64)
    offsets[1:] = ends - np.arange(len(ends))
    text = data[data != ord("\n")]
    return pa.Array.from_buffers(pa.large_binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(text)])
