"""Parquet files."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cliptok.batch.reading.columns import choose_columns
from cliptok.batch.reading.damage import damage
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.list_columns import check_type, text_fields

_ROWS = 1 << 15
_BYTES = 1 << 25


def read_parquet(shard: Shard, column: str, keep: list[str], lists: bool = False) -> Iterator[tuple[pa.Table, int]]:
    """Columns are read in parts of a row group, so memory does not depend on how large these are.

    The texts' column has strings, or with `lists` lists of them.
    """
    options = {"pre_buffer": False, "buffer_size": 1 << 20, "page_checksum_verification": True}
    with _opened(shard) as source, ExitStack() as stack:
        with damage("its footer"):
            file = stack.enter_context(pq.ParquetFile(source, **options))
            schema = file.schema_arrow
        chosen = choose_columns(column, keep, schema.names)
        check_type(schema, column, lists)
        fields = [schema.field(name) for name in chosen]
        empty = pa.schema(fields).empty_table()
        yield empty, 0
        rows, done = file.metadata.num_rows, 0
        batches = file.iter_batches(_batch_rows(file.metadata, chosen), columns=chosen)
        while True:
            with damage(f"behind row {done:,}"):
                batch = next(batches, None)
            if batch is None:
                break
            done += len(batch)
            yield pa.Table.from_batches([batch]).select(chosen), done * shard.size // rows


def text_columns(shard: Shard, lists: bool) -> tuple[list[str], list[str]]:
    """The columns with strings, or with `lists` those with lists of them, and all columns."""
    with _opened(shard) as source, damage("its footer"):
        schema = pq.read_schema(source)
    return text_fields(schema, lists), schema.names


@contextmanager
def _opened(shard: Shard) -> Iterator[Any]:
    """The path for Arrow to open, or an open file where the name is not UTF-8, which Arrow does not take."""
    try:
        os.fspath(shard.source).encode()
    except UnicodeEncodeError:
        with shard.source.open("rb") as file:
            yield file
    else:
        yield shard.source


def _batch_rows(metadata: pq.FileMetaData, chosen: list[str]) -> int:
    """Rows in a batch: fewer where they are long, so that it has some 32 MiB at most."""
    widest = 1
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(place) for place in range(group.num_columns)]
        size = sum(c.total_uncompressed_size for c in columns if c.path_in_schema.split(".")[0] in chosen)
        widest = max(widest, size // max(group.num_rows, 1))
    return max(1, min(_ROWS, _BYTES // widest))
