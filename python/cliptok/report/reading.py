"""The texts of one file, a chunk at a time: lines, or a column of a table."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cliptok.lines import BadInputError, chunks, opened

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 1 << 14
_BLOCK = 1 << 23
"""Bytes of a JSON or CSV file that are parsed at a time, so also the most that one row may have."""
_TABLES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "json lines", ".ndjson": "json lines", ".parquet": "parquet"}


def texts_of(path: str, column: str | None) -> Iterator[Any]:
    """Lists of str, or Arrow arrays of strings with nulls, of at most some ten thousand texts each.

    `.parquet`, `.csv`, `.tsv`, `.jsonl` and `.ndjson` have columns: `column`, or the only one with strings. Anything
    else, and `-` for standard input, is UTF-8 with one text per line. `.gz` may follow any name but `.parquet`.

    Raises BadInputError that names the file, and the line or the columns, and ImportError without pyarrow.
    """
    name = path.removesuffix(".gz")
    kind = None if path == "-" else _TABLES.get(Path(name).suffix.lower())
    with _trouble(path):
        if kind is not None:
            yield from _column(path, kind, column)
        elif column is not None:
            raise BadInputError(f"{path}: lines of text have no column; leave --column out")
        else:
            with _lines(path) as file:
                for _, lines in chunks(file, path, lambda size: None):
                    yield lines


@contextmanager
def _trouble(path: str) -> Iterator[None]:
    """Errors of the libraries as ours, with the file's name."""
    try:
        yield
    except (EOFError, zlib.error) as error:
        raise BadInputError(f"{path}: {error}") from error
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror or error}") from error


@contextmanager
def _lines(path: str) -> Iterator[BinaryIO]:
    with opened(path) as file:
        if path.endswith(".gz"):
            with gzip.open(file) as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            yield file


def _column(path: str, kind: str, column: str | None) -> Iterator["pa.Array[Any]"]:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError(f"{path}: reading {kind} needs pyarrow; pip install 'pyarrow>=20'") from error
    if not Path(path).is_file():
        raise BadInputError(f"{path}: {'a folder' if Path(path).is_dir() else 'no such file'}")
    read = {"csv": _csv, "tsv": _csv, "json lines": _json, "parquet": _parquet}[kind]
    try:
        schema, _ = read(path, None)
        _, batches = read(path, _chosen(path, schema, column, kind))
        for batch in batches:
            yield batch.column(0)
    except pa.ArrowException as error:
        raise BadInputError(f"{path}: {error}") from error


def _parquet(path: str, column: str | None) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
    """The schema, and if a column is given batches of it alone."""
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(path, pre_buffer=False)  # which would hold the whole file
    return file.schema_arrow, file.iter_batches(_ROWS, columns=[column] if column else [])


def _csv(path: str, column: str | None) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
    """The same; the column is text, whatever its first rows look like."""
    import pyarrow as pa
    from pyarrow import csv

    delimiter = "\t" if path.lower().removesuffix(".gz").endswith(".tsv") else ","
    only = {"column_types": {column: pa.string()}, "include_columns": [column]} if column else {}
    reader = csv.open_csv(
        path,
        csv.ReadOptions(block_size=_BLOCK),
        csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        csv.ConvertOptions(**only),
    )
    return reader.schema, reader


def _json(path: str, column: str | None) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
    """The same; a record without the column has a null."""
    import pyarrow as pa
    from pyarrow import json

    schema = pa.schema({column: pa.string()}) if column else None
    unexpected = "ignore" if column else "infer"
    options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected)
    reader = json.open_json(path, json.ReadOptions(block_size=_BLOCK), options)
    return reader.schema, reader


def _chosen(path: str, schema: "pa.Schema", column: str | None, kind: str) -> str:
    """The column to read, checked to hold strings."""
    import pyarrow as pa

    def is_text(kind: Any) -> bool:
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))

    names: list[str] = [field.name for field in schema if is_text(field.type)]
    if column is None:
        if len(names) != 1:
            raise BadInputError(f"{path}: which column? It has {', '.join(schema.names)}; name one with --column")
        return names[0]
    if column not in schema.names:
        raise BadInputError(f"{path}: no column {column!r}; it has {', '.join(schema.names)}")
    if column not in names and kind not in ("csv", "tsv"):
        raise BadInputError(f"{path}: column {column!r} holds {schema.field(column).type}; expected strings")
    return column
