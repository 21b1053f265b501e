"""CSV and TSV files."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv

from cliptok.batch.reading.columns import choose_columns
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.streams import opened

_BLOCK = 1 << 22


def read_csv(shard: Shard, column: str, keep: list[str]) -> Iterator[tuple[pa.Table, int]]:
    """The first row names the columns. Every value is text, so kept ones stay as they are written."""
    options = csv_options(shard)
    with opened(shard) as source, pa.csv.open_csv(source.stream, *options) as reader:
        chosen = choose_columns(column, keep, reader.schema.names)
    types = {**dict.fromkeys(chosen, pa.string()), column: pa.binary()}
    converting = pa.csv.ConvertOptions(include_columns=chosen, column_types=types)
    with opened(shard) as source, pa.csv.open_csv(source.stream, *options, converting) as reader:
        yield reader.schema.empty_table(), 0
        for batch in reader:
            yield pa.Table.from_batches([batch]), source.position()


def csv_options(shard: Shard) -> tuple[pa.csv.ReadOptions, pa.csv.ParseOptions]:
    """How a file with commas or tabs is read."""
    return (
        pa.csv.ReadOptions(block_size=_BLOCK, use_threads=False),  # With threads, errors do not name the row.
        pa.csv.ParseOptions(delimiter="\t" if shard.kind == "tsv" else ",", newlines_in_values=True),
    )
