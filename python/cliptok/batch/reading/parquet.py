"""Parquet files."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.columns import choose_columns, is_bytes, is_text
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.list_columns import is_texts

_ROWS = 1 << 15
_BYTES = 1 << 25


def read_parquet(shard: Shard, column: str, keep: list[str], lists: bool = False) -> Iterator[tuple[pa.Table, int]]:
    """Columns are read in parts of a row group, so memory does not depend on how large these are.

    The texts' column has strings, or with `lists` lists of them.
    """
    options = {"pre_buffer": False, "buffer_size": 1 << 20, "page_checksum_verification": True}
    with _opened(shard) as source, ExitStack() as stack:
        with _damage("its footer"):
            file = stack.enter_context(pq.ParquetFile(source, **options))
            schema = file.schema_arrow
        chosen = choose_columns(column, keep, schema.names)
        _check_type(schema, column, lists)
        fields = [schema.field(name) for name in chosen]
        empty = pa.schema(fields).empty_table()
        yield empty, 0
        rows, done = file.metadata.num_rows, 0
        batches = file.iter_batches(_batch_rows(file.metadata, chosen), columns=chosen)
        while True:
            with _damage(f"behind row {done:,}"):
                batch = next(batches, None)
            if batch is None:
                break
            done += len(batch)
            yield pa.Table.from_batches([batch]).select(chosen), done * shard.size // rows


def text_columns(shard: Shard, lists: bool) -> tuple[list[str], list[str]]:
    """The columns with strings, or with `lists` those with lists of them, and all columns."""
    with _opened(shard) as source, _damage("its footer"):
        schema = pq.read_schema(source)
    able = is_texts if lists else lambda kind: is_text(kind) and not is_bytes(kind)
    return [field.name for field in schema if able(field.type)], schema.names


@contextmanager
def _damage(where: str) -> Iterator[None]:
    """Errors of Arrow as BadInputError that says where in the file they are."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise BadInputError(f"{where}: {reason}") from error


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


def _check_type(schema: pa.Schema, column: str, lists: bool) -> None:
    kind, fits, what = schema.field(column).type, is_text, "strings"
    if lists:
        fits, what = is_texts, "lists of strings"
    elif is_texts(kind):
        raise BadInputError(
            f"column {column!r} has lists of texts; choose which with captions= or --captions: first, all or random"
        )
    if not fits(kind):
        able = [field.name for field in schema if fits(field.type)]
        have = f"columns of {what} are {', '.join(able)}" if able else f"no column has {what}"
        raise BadInputError(f"column {column!r} is {kind}, not {what}; {have}")


def _batch_rows(metadata: pq.FileMetaData, chosen: list[str]) -> int:
    """Rows in a batch: fewer where they are long, so that it has some 32 MiB at most."""
    widest = 1
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(place) for place in range(group.num_columns)]
        size = sum(c.total_uncompressed_size for c in columns if c.path_in_schema.split(".")[0] in chosen)
        widest = max(widest, size // max(group.num_rows, 1))
    return max(1, min(_ROWS, _BYTES // widest))
