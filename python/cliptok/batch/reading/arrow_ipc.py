"""Arrow IPC: `.arrow` files and streams, both read from front to back, so from pipes and compressed too."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.columns import choose_columns
from cliptok.batch.reading.damage import damage
from cliptok.batch.reading.list_columns import check_type, text_fields
from cliptok.batch.reading.places import BEGIN, Raw
from cliptok.batch.reading.streams import Prefixed, Source

_MAGIC = b"ARROW1"
"""Begins and ends a file. What stands between, but for the footer, is a stream."""
_TAIL = 4 + len(_MAGIC)
"""Bytes behind a file's footer: its length, and the mark."""
_BLOCK = 1 << 24

Choose = Callable[[list[str], list[str]], str]
"""Chooses the texts' column from those that can be it and all."""


def read_arrow(source: Source, choose: Choose, keep: list[str], lists: bool) -> tuple[str, Iterator[Raw]]:
    """The texts' column, of strings or with `lists` of lists of them, and the tables.

    Raises BadInputError for a file or stream that has no end: it may have lost rows.
    """
    stream = Prefixed(source.stream)
    is_file = stream.peek(len(_MAGIC)) == _MAGIC
    if is_file:
        stream.read(len(_MAGIC) + 2)
    with damage("its schema"):
        # Columns that nobody asked for are left out while reading, and to name them takes the schema.
        first = _Recorded(stream)
        schema = pa.ipc.open_stream(pa.PythonFile(first, "r")).schema
        stream.unread(bytes(first.seen))
        able = text_fields(schema, lists)
    column = choose(able, schema.names)
    chosen = choose_columns(column, [name for name in keep if name != column], schema.names)
    check_type(schema, column, lists)
    return column, _tables(source, stream, is_file, schema, chosen)


def _tables(source: Source, stream: Prefixed, is_file: bool, schema: pa.Schema, chosen: list[str]) -> Iterator[Raw]:
    yield Raw(pa.schema([schema.field(name) for name in chosen]).empty_table(), 0, BEGIN)
    options = pa.ipc.IpcReadOptions(included_fields=sorted(schema.get_field_index(name) for name in chosen))
    body, done = _Recorded(stream, is_recording=False), 0
    with damage("its schema"):
        reader = pa.ipc.open_stream(pa.PythonFile(body, "r"), options=options)
    while True:
        with damage(f"behind row {done:,}"):
            batch = next(reader, None)
            if batch is None:
                break
            _check(batch, chosen[0])
        done += len(batch)
        yield Raw(pa.Table.from_batches([batch]).select(chosen), source.position(), BEGIN)
    _check_end(stream, is_file, body.met_end, done)


def _check(batch: pa.RecordBatch, column: str) -> None:
    """Raise ArrowInvalid for offsets and the like that lead out of a batch. Texts that are not UTF-8 have a policy."""
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        values.validate()
        try:
            values.validate(full=True)
        except pa.ArrowInvalid as error:
            if name != column or "UTF8" not in str(error):
                raise
            if pa.types.is_dictionary(values.type):
                pa.DictionaryArray.from_arrays(values.indices, values.dictionary.view(pa.binary())).validate(full=True)


def _check_end(stream: Prefixed, is_file: bool, met_end: bool, done: int) -> None:
    """Raise BadInputError where the end of the stream, or of the file behind it, is missing; read all there is."""
    tail, rest = b"", 0
    while block := stream.read(_BLOCK):
        tail, rest = (tail + block)[-_TAIL:], rest + len(block)
    if met_end or (is_file and not tail.endswith(_MAGIC)):
        raise BadInputError(f"it ends behind row {done:,} without the mark of its end: it may have lost rows")
    if rest != (int.from_bytes(tail[:4], "little") + _TAIL if is_file else 0):
        raise BadInputError(f"behind row {done:,} it ends, and {rest:,} bytes follow: is it more than one?")


class _Recorded:
    """A stream that keeps what was read from it, and notices when there was less than asked for."""

    closed = False

    def __init__(self, stream: Any, is_recording: bool = True) -> None:
        self._stream, self._is_recording = stream, is_recording
        self.seen = bytearray()
        self.met_end = False

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end. What a damaged message promises is not reserved before it is there."""
        blocks: list[bytes] = []
        left = size
        while left and (block := self._stream.read(min(left, _BLOCK))):
            blocks.append(block)
            left -= len(block)
        self.met_end = self.met_end or left > 0
        found = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        if self._is_recording:
            self.seen += found
        return found

    def close(self) -> None:
        """Nothing: whoever opened the stream closes it."""
