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
    from pyarrow.dataset import FileFormat

_ROWS = 1 << 14
_BLOCK = 1 << 24
"""Bytes of a JSON or CSV file that are parsed at a time, so also the most that one row may have."""
_TABLES = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}


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
            yield from _column(path, kind, "\t" if name.lower().endswith(".tsv") else ",", column)
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


def _column(path: str, kind: str, delimiter: str, column: str | None) -> Iterator["pa.Array[Any]"]:
    try:
        import pyarrow as pa
        import pyarrow.dataset
    except ImportError as error:
        raise ImportError(f"{path}: reading .{kind} needs pyarrow; pip install pyarrow") from error
    if not Path(path).is_file():
        raise BadInputError(f"{path}: {'a folder' if Path(path).is_dir() else 'no such file'}")
    try:
        schema = pa.dataset.dataset(path, format=_format(kind, delimiter, None)).schema
        column = _chosen(path, schema, column)
        data = pa.dataset.dataset(path, format=_format(kind, delimiter, column))
        for batch in data.to_batches(columns=[column], batch_size=_ROWS):
            yield batch.column(0)
    except pa.ArrowException as error:
        raise BadInputError(f"{path}: {error}") from error


def _format(kind: str, delimiter: str, column: str | None) -> "FileFormat":
    """The format; with a column, which is then text whatever its first rows look like."""
    import pyarrow as pa
    from pyarrow import csv, dataset, json

    types = {} if column is None else {column: pa.string()}
    if kind == "csv":
        return dataset.CsvFileFormat(
            csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=types),
            read_options=csv.ReadOptions(block_size=_BLOCK),
        )
    if kind == "json":
        fields = json.ParseOptions(explicit_schema=pa.schema(types), unexpected_field_behavior="ignore")
        return dataset.JsonFileFormat(
            parse_options=fields if types else None, read_options=json.ReadOptions(block_size=_BLOCK)
        )
    return dataset.ParquetFileFormat()


def _chosen(path: str, schema: "pa.Schema", column: str | None) -> str:
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
    if column not in names and not path.removesuffix(".gz").lower().endswith((".csv", ".tsv")):
        raise BadInputError(f"{path}: column {column!r} holds {schema.field(column).type}; expected strings")
    return column
