"""Parquet files."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from cliptok._common.errors import BadInputError
from cliptok._common.json_files import some
from cliptok.batch.reading.columns import choose_columns
from cliptok.batch.reading.damage import damage
from cliptok.batch.reading.fingerprint import Fingerprint
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.list_columns import check_type, text_fields
from cliptok.batch.reading.places import BEGIN, Place, Raw
from cliptok.batch.stores.reading_ahead import BlockFile

_ROWS = 1 << 15
_BYTES = 1 << 25
_BLOCK = 1 << 22
_SIGNATURE = 28
"""Bytes behind a footer that can be read though columns are encrypted."""
_BYTES_OF_REPEATED = 16
"""Bytes that a text takes at least where a dictionary does not help."""


def read_parquet(
    shard: Shard,
    column: str,
    keep: list[str],
    lists: bool = False,
    place: Place = BEGIN,
    fingerprint: Fingerprint | None = None,
) -> Iterator[Raw]:
    """Columns are read in parts of a row group, so memory does not depend on how large these are.

    The texts' column has strings, or with `lists` lists of them. The fingerprint is of the footer and of what the file
    has of these columns.
    """
    options = {"pre_buffer": False, "buffer_size": 1 << 20, "page_checksum_verification": True}
    with _opened(shard) as source, ExitStack() as stack:
        if isinstance(source, BlockFile):
            source.read_ahead()
        metadata, schema = _footer(source)
        chosen = choose_columns(column, keep, schema.names)
        check_type(schema, column, lists)
        repeated = [column] if _has_few_values(metadata, schema.field(column)) else None
        with damage("its footer"):
            opened = pq.ParquetFile(source, metadata=metadata, read_dictionary=repeated, **options)
            file = stack.enter_context(opened)
        fields = [schema.field(name) for name in chosen]
        rows, size = file.metadata.num_rows, _batch_rows(file.metadata, chosen)
        # As `empty_table()`, which imports pandas.
        empty = pa.Table.from_arrays([pa.nulls(0, field.type) for field in fields], schema=pa.schema(fields))
        yield Raw(empty, place.row * shard.size // max(rows, 1), place)
        if fingerprint is not None:
            # Of a store, what the fingerprint has read is still there for Arrow.
            is_opened = not isinstance(source, Path)
            raw: BinaryIO = source if is_opened else stack.enter_context(shard.source.open("rb"))
            _add_footer(fingerprint, raw, shard.size)
        for groups, first in _bundles(file.metadata):
            done, behind = first, first + sum(file.metadata.row_group(group).num_rows for group in groups)
            if behind <= place.row:
                continue
            if fingerprint is not None:
                with damage(f"behind row {done:,}"):
                    _add_chunks(fingerprint, raw, file.metadata, groups, chosen)
            batches = file.iter_batches(size, row_groups=groups, columns=chosen)
            while True:
                with damage(f"behind row {done:,}"):
                    batch = next(batches, None)
                if batch is None:
                    break
                at, done = done, done + len(batch)
                if done > place.row:
                    at = max(at, place.row)
                    table = pa.Table.from_batches([batch]).select(chosen).slice(len(batch) - (done - at))
                    yield Raw(table, done * shard.size // rows, Place(at))


def _footer(source: Any) -> tuple[pq.FileMetaData, pa.Schema]:
    """What a footer says of the file. Raises BadInputError for one that cannot be read, or of encrypted columns."""
    with damage("its footer"):
        metadata = pq.read_metadata(source)
        schema = metadata.schema.to_arrow_schema()
        names = schema.names
    with ExitStack() as stack:
        raw = source if hasattr(source, "read") else stack.enter_context(source.open("rb"))
        raw.seek(-8, os.SEEK_END)
        size = int.from_bytes(raw.read(4), "little")
    # Asked for the metadata of an encrypted column, Arrow ends the process. A readable footer is signed then.
    if size - metadata.serialized_size == _SIGNATURE:
        raise BadInputError(f"its columns are encrypted ({some(names)}); write it anew without encryption")
    return metadata, schema


def _has_few_values(metadata: pq.FileMetaData, field: pa.Field) -> bool:
    """Whether texts are but a few, again and again, which may take more memory than anything says when decoded.

    They stay in a dictionary until a chunk takes them out.
    """
    if not (pa.types.is_string(field.type) or pa.types.is_binary(field.type)):
        return False
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    chunks = (group.column(place) for group in groups for place in range(group.num_columns))
    return any(
        chunk.path_in_schema == field.name
        and chunk.has_dictionary_page
        and chunk.total_uncompressed_size < _BYTES_OF_REPEATED * chunk.num_values
        for chunk in chunks
    )


def rows_and_groups(shard: Shard) -> tuple[int, int]:
    """How many rows and row groups a file has."""
    with _opened(shard) as source:
        metadata, _ = _footer(source)
    return metadata.num_rows, metadata.num_row_groups


def fingerprint_columns(shard: Shard, column: str, keep: list[str], fingerprint: Fingerprint) -> None:
    """Add what `read_parquet` adds, without decoding anything."""
    with _opened(shard) as source, shard.source.open("rb") as raw, damage("its columns"):
        metadata, schema = _footer(source)
        chosen = choose_columns(column, keep, schema.names)
        _add_footer(fingerprint, raw, shard.size)
        for groups, _ in _bundles(metadata):
            _add_chunks(fingerprint, raw, metadata, groups, chosen)


def _bundles(metadata: pq.FileMetaData) -> Iterator[tuple[list[int], int]]:
    """Row groups that are read together, so that small ones make no small tables, and the rows before them."""
    groups: list[int] = []
    first = rows = 0
    for number in range(metadata.num_row_groups):
        groups.append(number)
        rows += metadata.row_group(number).num_rows
        if rows >= _ROWS or number == metadata.num_row_groups - 1:
            yield groups, first
            groups, first, rows = [], first + rows, 0


def _add_footer(fingerprint: Fingerprint, raw: BinaryIO, size: int) -> None:
    raw.seek(max(size - 8, 0))
    length = int.from_bytes(raw.read(8)[:4], "little")
    raw.seek(max(size - 8 - length, 0))
    fingerprint.update(raw.read(length))


def _add_chunks(
    fingerprint: Fingerprint, raw: BinaryIO, metadata: pq.FileMetaData, groups: list[int], chosen: list[str]
) -> None:
    """The bytes that the file has of these columns in these row groups."""
    for number in groups:
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            if not any(chunk.path_in_schema == name or chunk.path_in_schema.startswith(f"{name}.") for name in chosen):
                continue
            offsets = (chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset)
            raw.seek(min(offsets))
            left = chunk.total_compressed_size
            while left > 0 and (block := raw.read(min(left, _BLOCK))):
                fingerprint.update(block)
                left -= len(block)


def text_columns(shard: Shard, lists: bool) -> tuple[list[str], list[str]]:
    """The columns with strings, or with `lists` those with lists of them, and all columns."""
    with _opened(shard) as source:
        _, schema = _footer(source)
    return text_fields(schema, lists), schema.names


@contextmanager
def _opened(shard: Shard) -> Iterator[Any]:
    """The path for Arrow to open; an open file for one of a store, and for a name that is not UTF-8."""
    try:
        is_for_arrow = isinstance(shard.source, Path) and bool(os.fspath(shard.source).encode())
    except UnicodeEncodeError:
        is_for_arrow = False
    if is_for_arrow:
        yield shard.source
    else:
        with shard.source.open("rb") as file:
            yield file


def _batch_rows(metadata: pq.FileMetaData, chosen: list[str]) -> int:
    """Rows in a batch: fewer where they are long, so that it has some 32 MiB at most."""
    widest = 1
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(place) for place in range(group.num_columns)]
        size = sum(c.total_uncompressed_size for c in columns if c.path_in_schema.split(".")[0] in chosen)
        widest = max(widest, size // max(group.num_rows, 1))
    return max(1, min(_ROWS, _BYTES // widest))
