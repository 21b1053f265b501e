"""Arrow IPC files, not compressed, so that whoever reads one can map it."""

from contextlib import suppress
from typing import BinaryIO

import pyarrow as pa

from cliptok.batch.writing.outputs import RECORD, Record
from cliptok.batch.writing.reserved import fill, read, reserve

_MAGIC = b"ARROW1"


class ArrowOutput:
    """A file being written: a record batch per table. The record is in the footer's metadata."""

    def __init__(self, file: BinaryIO, first: pa.Table, draft: Record) -> None:
        self._file, self._reserved = file, reserve(draft)
        self._schema = pa.schema([field.with_type(without_dictionaries(field.type)) for field in first.schema])
        # The footer is written at the end, but what it holds is given here: a place for the record.
        self._writer = pa.ipc.new_file(file, self._schema, metadata={RECORD: self._reserved})

    def write(self, table: pa.Table) -> None:
        """Add the table's rows."""
        self._writer.write_table(table.cast(self._schema).combine_chunks())

    def finish(self, record: Record) -> None:
        """Write the footer or header, with the record: the file is then complete."""
        self._writer.close()
        size = self._file.tell()
        start, length = footer(self._file, size)
        self._file.seek(start)
        at = self._file.read(length).find(self._reserved)
        assert at >= 0
        self._file.seek(start + at)
        self._file.write(fill(self._reserved, record, size))

    def abandon(self) -> None:
        """Release the file, which the caller discards."""
        with suppress(OSError, pa.ArrowException):
            self._writer.close()


def footer(file: BinaryIO, size: int) -> tuple[int, int]:
    """Where the footer of a file of `size` bytes is, and its length; (-1, 0) where the file is none."""
    file.seek(max(size - len(_MAGIC) - 4, 0))
    end = file.read()
    length = int.from_bytes(end[:4], "little")
    start = size - len(end) - length
    return (start, length) if end[4:] == _MAGIC and start >= 0 else (-1, 0)


def look(file: BinaryIO, size: int) -> tuple[int, Record | None]:
    """(rows, record). Raises whatever Arrow does for a file that is damaged."""
    with pa.ipc.open_file(file) as reader:
        text = (reader.metadata or {}).get(RECORD.encode())
        # Counting reads the head of each batch, so a damaged one is found.
        return reader.count_rows(), None if text is None else read(text, size)


def without_dictionaries(kind: pa.DataType) -> pa.DataType:
    """The type with values in place of dictionaries, of which a file could have only one for all its tables."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_list(kind):
        return pa.list_(without_dictionaries(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(without_dictionaries(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(without_dictionaries(field.type)) for field in kind])
    return kind
