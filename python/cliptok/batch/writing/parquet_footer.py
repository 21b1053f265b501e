"""The footer of a Parquet file, and that of several files' row groups one after another, which are not decoded.

Field numbers are those of `parquet.thrift`: https://github.com/apache/parquet-format.
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from cliptok.batch.writing.thrift_compact import BINARY, I64, LIST, STRUCT, Struct, read_struct, write_struct

MAGIC = b"PAR1"
_ROWS, _GROUPS, _METADATA = 3, 4, 5  # Of a file.
_COLUMNS, _GROUP_OFFSET, _ORDINAL, _GROUP_ROWS = 1, 5, 7, 3  # Of a row group.
_CHUNK_OFFSET, _CHUNK_METADATA = 2, 3  # Of a column's chunk.
_PAGE_INDEXES = (4, 6)
_PAGE_OFFSETS = (9, 10, 11, 14)  # Of data, index and dictionary pages, and of a Bloom filter.
_MOST_ORDINALS = 1 << 15


class Footer(NamedTuple):
    """The footer of a file, and where in the file it begins: before it come the row groups."""

    fields: Struct
    start: int

    @classmethod
    def read(cls, file: BinaryIO, size: int) -> Footer:
        """That of the Parquet file that the first `size` bytes of `file` are. Raises ValueError where there is none."""
        file.seek(max(size - 8, 0))
        end = file.read(8)
        start = size - 8 - int.from_bytes(end[:4], "little")
        if end[4:] != MAGIC or start < len(MAGIC):
            raise ValueError("no footer of a Parquet file")
        file.seek(start)
        return cls(read_struct(file.read(size - 8 - start)), start)


class JoinedFooter:
    """The footer of a file that has the row groups of others, in the order in which they are added."""

    def __init__(self, first: Footer) -> None:
        self._fields = dict(first.fields)
        self._groups: list[Struct] = []
        self._rows = 0
        self._at = len(MAGIC)

    def add(self, footer: Footer) -> None:
        """Row groups that are copied, as they are, behind those that were added before."""
        moved = self._at - len(MAGIC)
        for group in footer.fields[_GROUPS][1][1]:
            if group[_GROUP_ROWS][1]:  # What has no rows needs no row group.
                self._groups.append(_moved_group(group, moved, len(self._groups)))
        self._rows += footer.fields[_ROWS][1]
        self._at += footer.start - len(MAGIC)

    def to_bytes(self, metadata: dict[str, str]) -> bytes:
        """What ends the file: the footer, its length and the magic number. `metadata` is added to the first file's."""
        own = {name.encode(): text.encode() for name, text in metadata.items()}
        kept = [pair for pair in self._fields.get(_METADATA, (LIST, (STRUCT, [])))[1][1] if pair[1][1] not in own]
        pairs = kept + [{1: (BINARY, name), 2: (BINARY, text)} for name, text in own.items()]
        found = {
            **self._fields,
            _ROWS: (I64, self._rows),
            _GROUPS: (LIST, (STRUCT, self._groups)),
            _METADATA: (LIST, (STRUCT, pairs)),
        }
        footer = write_struct(dict(sorted(found.items())))
        return footer + len(footer).to_bytes(4, "little") + MAGIC


def _moved_group(group: Struct, moved: int, ordinal: int) -> Struct:
    found = {number: field for number, field in group.items() if number != _ORDINAL or ordinal < _MOST_ORDINALS}
    if _ORDINAL in found:
        found[_ORDINAL] = (found[_ORDINAL][0], ordinal)
    _move(found, _GROUP_OFFSET, moved)
    kind, chunks = group[_COLUMNS][1]
    found[_COLUMNS] = (LIST, (kind, [_moved_chunk(chunk, moved) for chunk in chunks]))
    return found


def _moved_chunk(chunk: Struct, moved: int) -> Struct:
    if any(number in chunk for number in _PAGE_INDEXES):
        raise ValueError("a file with a page index, which holds offsets of its own, cannot be joined")
    found = dict(chunk)
    _move(found, _CHUNK_OFFSET, moved)
    kind, fields = chunk[_CHUNK_METADATA]
    fields = dict(fields)
    for number in _PAGE_OFFSETS:
        _move(fields, number, moved)
    found[_CHUNK_METADATA] = (kind, fields)
    return found


def _move(fields: Struct, number: int, moved: int) -> None:
    kind, offset = fields.get(number, (I64, 0))
    if offset:  # 0 says that it is not given.
        fields[number] = (kind, offset + moved)
