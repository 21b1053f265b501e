"""The texts of one file, as the readers of batch jobs give them."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
import pyarrow.types

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.delimited import csv_options
from cliptok.batch.reading.inputs import STDIN, Shard, as_shard, kind_of
from cliptok.batch.reading.reader import Reading, naming
from cliptok.batch.reading.streams import opened
from cliptok.batch.summary import Counts

_BLOCK = 1 << 23


def texts_of(file: str, column: str | None, on_undecodable: str, counts: Counts) -> Iterator[pa.ChunkedArray]:
    """Columns of strings without null, of some ten thousand texts each; what was met is counted.

    A file is what its name says, as in batch jobs. Any other name, and `-` for standard input, is text with one text
    per line. Where there are columns, `column` is the one to read, by default the only one with strings.

    Raises BadInputError that names the file, and the row or the columns.
    """
    source = Path(file)
    with naming(source):
        is_known = file == STDIN or kind_of(source) is not None
        shard = as_shard(source, source) if is_known else Shard(source, "txt", None, source, 0, 0)
        if shard.kind == "txt" and column is not None:
            raise BadInputError("lines of text have no column; leave --column out")
        if shard.kind not in ("txt", "tar"):
            column = column or _only_column(shard)
    for table, _ in Reading(column, on_null="skip", on_undecodable=on_undecodable).tables(shard, counts):
        yield table.column(0)


def _only_column(shard: Shard) -> str:
    schema = _schema(shard)
    names: list[str] = [field.name for field in schema if _is_text(field.type)]
    if len(names) != 1:
        raise BadInputError(f"which column? It has {', '.join(schema.names)}; name one with --column")
    return names[0]


def _schema(shard: Shard) -> pa.Schema:
    """The columns, with the types that the first rows show where the file does not say."""
    if shard.kind == "parquet":
        return pq.read_schema(shard.source)
    with opened(shard) as source:
        if shard.kind == "jsonl":
            return pa.json.open_json(source.stream, pa.json.ReadOptions(block_size=_BLOCK)).schema
        return pa.csv.open_csv(source.stream, *csv_options(shard)).schema


def _is_text(kind: pa.DataType) -> bool:
    kinds = pyarrow.types
    if kinds.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))
