"""Arrow IPC files, not compressed, so that whoever reads one can map it."""

from contextlib import suppress
from typing import BinaryIO

import pyarrow as pa

from cliptok.batch.writing.outputs import RECORD, Record
from cliptok.batch.writing.reserved import fill, read, reserve

_MAGIC = b"ARROW1"
_MOST_OF_A_SCHEMA = 1 << 26


class ArrowOutput:
    """A file being written: a record batch per table. The record is metadata of the schema in the footer.

    The same schema stands at the front too, for who reads the file as a stream; there its place stays empty.
    """

    def __init__(self, file: BinaryIO, first: pa.Table, draft: Record) -> None:
        self._file, self._reserved = file, reserve(draft)
        fields = [field.with_type(without_dictionaries(field.type)) for field in first.schema]
        # The footer is written at the end, but what it holds is given here: a place for the record.
        self._schema = pa.schema(fields, {**(first.schema.metadata or {}), RECORD: self._reserved})
        self._writer = pa.ipc.new_file(file, self._schema)

    def write(self, table: pa.Table) -> None:
        """Add the table's rows."""
        self._writer.write_table(table.cast(self._schema).combine_chunks())

    def finish(self, record: Record) -> None:
        """Write the footer or header, with the record: the file is then complete."""
        self._writer.close()
        size = self._file.tell()
        start, length = footer(self._file, size)
        front = len(_MAGIC) + 2
        self._replace(front, min(start - front, _MOST_OF_A_SCHEMA), b"{}".ljust(len(self._reserved)))
        self._replace(start, length, fill(self._reserved, record, size))

    def _replace(self, start: int, length: int, text: bytes) -> None:
        """Write a text in the record's place in some part of the file."""
        self._file.seek(start)
        at = self._file.read(length).find(self._reserved)
        assert at >= 0
        self._file.seek(start + at)
        self._file.write(text)

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
        text = (reader.schema.metadata or {}).get(RECORD.encode())
    record = None if text is None else read(text, size)
    # As of an archive: it is as long as its record says, and counting would read it all.
    return (0, None) if record is None else (record["counts"]["texts"], record)


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
