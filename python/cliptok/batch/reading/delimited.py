"""CSV, TSV and other delimited text."""

import csv
import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.columns import choose_columns
from cliptok.batch.reading.places import BEGIN, Raw
from cliptok.batch.reading.quotes import StrictQuotes
from cliptok.batch.reading.streams import Prefixed, Source

MAX_ROW_BYTES = 1 << 22
"""Bytes that a row may surely have: of Arrow's blocks, which rows must not reach over."""
_FIRST_ROWS = 1 << 17
MAX_HEADER_ROW_BYTES = 1 << 20
"""Bytes of a first row. A longer one is no header but a file without line feeds."""
_DELIMITERS = {"\t": "\\t", ";": ";", ",": ",", "|": "|"}


class Dialect(NamedTuple):
    """How delimited text is written."""

    delimiter: str | None = None
    """None for a comma, in `.tsv` a tab."""
    quotes: bool = True
    """Whether a quote that begins a field quotes it; else quotes are text."""
    header: bool = True
    """Whether the first row names the columns; else their names are their numbers, from 1."""


def read_delimited(source: Source, column: str, keep: list[str], delimiter: str, dialect: Dialect) -> Iterator[Raw]:
    """Every value is text, so kept ones stay as they are written. A row is only found from the beginning: a line feed
    may be in quotes.

    Raises BadInputError for a quote that is never closed, or that text follows.
    """
    first = _first_row(source.stream)
    names = _names(first, delimiter, dialect)
    if not first.endswith((b"\n", b"\r")) and source.stream.peek(len(first) + 1) == first:
        # Arrow takes a header for no file where nothing ends it.
        source.stream.unread(source.stream.read(len(first)) + b"\n")
    if len(names) == 1 and column not in names:
        _propose_delimiter(names[0], delimiter)
    chosen = choose_columns(column, keep, names)
    # With threads, errors do not name the row.
    reading = pa.csv.ReadOptions(
        block_size=MAX_ROW_BYTES, use_threads=False, column_names=None if dialect.header else names
    )
    types = {**dict.fromkeys(chosen, pa.string()), column: pa.binary()}
    converting = pa.csv.ConvertOptions(include_columns=chosen, column_types=types)
    checked: Any = StrictQuotes(source.stream, delimiter) if dialect.quotes else source.stream
    done = 0
    try:
        with pa.csv.open_csv(pa.PythonFile(checked, "r"), reading, _parsing(delimiter, dialect), converting) as reader:
            yield Raw(reader.schema.empty_table(), 0, BEGIN)
            for batch in reader:
                yield Raw(pa.Table.from_batches([batch]), source.position(), BEGIN)
                done += len(batch)
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error):
            raise
        raise BadInputError(
            f"behind row {done:,} there is a row of more than {MAX_ROW_BYTES:,} bytes, the most that are read of CSV;"
            " JSON lines and Parquet have no such limit"
        ) from error


def delimited_columns(source: Source, delimiter: str, dialect: Dialect) -> tuple[list[str], list[str]]:
    """The columns that are not numbers in the first rows, and all columns. The rows stay in the stream."""
    names = _names(_first_row(source.stream), delimiter, dialect)
    if len(names) == 1:
        _propose_delimiter(names[0], delimiter)
    rows = source.stream.peek(_FIRST_ROWS)
    if len(rows) == _FIRST_ROWS:
        rows = rows[: rows.rfind(b"\n") + 1]
    reading = pa.csv.ReadOptions(column_names=names, skip_rows=int(dialect.header))
    try:
        schema = pa.csv.read_csv(pa.py_buffer(rows), reading, _parsing(delimiter, dialect)).schema
    except pa.ArrowException:  # As where a row ends in the middle of quotes.
        return names, names
    return [field.name for field in schema if pa.types.is_string(field.type)], names


def _parsing(delimiter: str, dialect: Dialect) -> pa.csv.ParseOptions:
    return pa.csv.ParseOptions(
        delimiter=delimiter,
        quote_char='"' if dialect.quotes else False,
        double_quote=dialect.quotes,
        newlines_in_values=dialect.quotes,
    )


def _names(first: bytes, delimiter: str, dialect: Dialect) -> list[str]:
    """The names that a first row gives, or without a header the numbers of its fields from 1."""
    if not first.strip():
        raise BadInputError("the file is empty; expected a first row with the names of the columns")
    text = first.decode(errors="surrogateescape")
    try:
        if dialect.quotes:
            fields = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
        else:
            fields = text.rstrip("\r\n").split(delimiter)
    except csv.Error as error:
        trouble = f"the first row: {error}"
        if len(first) > csv.field_size_limit():
            trouble = f"the first row has {len(first):,} bytes, too many for names of columns"
        raise BadInputError(trouble) from error
    if not dialect.header:
        return [str(number + 1) for number in range(len(fields))]
    for number, name in enumerate(fields, 1):
        if any("\udc80" <= character <= "\udcff" for character in name):
            raise BadInputError(f"the name of column {number} in the first row is not UTF-8: {name!r}")
    return fields


def _first_row(stream: Prefixed) -> bytes:
    """The first row, which may have line feeds in quotes. It stays in the stream."""
    size = 1 << 12
    while True:
        read = stream.peek(size)
        at = 0
        while (end := read.find(b"\n", at) + 1) > 0:
            at = end
            if read.count(b'"', 0, end) % 2 == 0:
                return read[:end]
        if len(read) < size and read.count(b'"') % 2 == 0:
            return read  # Nothing ends it.
        if len(read) < size or size > MAX_HEADER_ROW_BYTES:
            line = read.partition(b"\n")
            return line[0] + line[1]
        size *= 4


def _propose_delimiter(name: str, delimiter: str) -> None:
    other = max(_DELIMITERS, key=lambda one: name.count(one) if one != delimiter else 0)
    if other != delimiter and other in name:
        shown = _DELIMITERS[other]
        raise BadInputError(
            f"the first row has one column, {name!r}; its fields seem to be divided by {shown!r} (delimiter={shown!r},"
            f" --delimiter '{shown}')"
        )
