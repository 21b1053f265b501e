"""Columns of lists of captions: one text of each list, or each of its texts in a row of its own."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types

from cliptok._common.errors import BadInputError
from cliptok._common.json_files import some
from cliptok.batch.reading.columns import is_bytes, is_text

CAPTIONS = ("first", "all", "random")
WITH_LISTS = ("parquet", "arrow", "jsonl", "tar")
"""The kinds of inputs that have such columns."""
LISTS_IN = "Parquet, Arrow, JSON lines and JSON in archives"
"""The same in words."""


def is_texts(kind: pa.DataType) -> bool:
    """Whether a column of this type has lists of texts."""
    kinds = pyarrow.types
    is_list = kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
    return is_list and is_text(kind.value_type)


def text_fields(schema: pa.Schema, lists: bool) -> list[str]:
    """The columns that are surely of strings, or with `lists` those of lists of them."""

    def fits(kind: pa.DataType) -> bool:
        if lists:
            return is_texts(kind)
        return is_text(kind) and not is_bytes(kind) and not pyarrow.types.is_null(kind)

    return [field.name for field in schema if fits(field.type)]


def check_type(schema: pa.Schema, column: str, lists: bool) -> None:
    """Raise BadInputError for a column that has no strings, or with `lists` no lists of them."""
    kind, fits, what = schema.field(column).type, is_text, "strings"
    if lists:
        fits, what = lambda kind: is_texts(kind) or pyarrow.types.is_null(kind), "lists of strings"
    elif is_texts(kind):
        raise BadInputError(
            f"column {column!r} has lists of texts; choose which with captions= or --captions: first, all or random"
        )
    if not fits(kind):
        able = [field.name for field in schema if fits(field.type)]
        have = f"columns of {what} are {some(able)}" if able else f"no column has {what}"
        raise BadInputError(f"column {column!r} is {kind}, not {what}; {have}")


def unfold(table: pa.Table, captions: str, seed: int, first_row: int) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """The table with texts in place of lists in its first column, and which row of `table` each of its rows is.

    `captions` is "first", "random", which depends on nothing but `seed` and the row's number in the file, `first_row`
    being the first one's, or "all": a row for each text, with what the row has in its other columns. A row whose list
    is null or has no text gets a null.
    """
    lists = table.column(0)
    if pyarrow.types.is_string_view(lists.type.value_type):  # Which Arrow cannot pick from.
        lists = lists.cast(pa.large_list(pa.large_string()))
    texts = pc.list_flatten(lists).combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    rows = np.arange(len(table))
    within = np.zeros(len(table), np.int64)
    if captions == "random":
        numbers = _hashed(rows + first_row, seed)
        within = (numbers % np.maximum(lengths, 1).astype(np.uint64)).astype(np.int64)
    elif captions == "all":
        repeats = np.maximum(lengths, 1)
        rows = np.repeat(rows, repeats)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    picked = texts.take(pa.array(starts[rows] + within, mask=lengths[rows] == 0))
    others = table.columns[1:] if captions != "all" else [column.take(pa.array(rows)) for column in table.columns[1:]]
    return pa.table([picked, *others], names=table.column_names), rows


def _hashed(numbers: npt.NDArray[np.int64], seed: int) -> "npt.NDArray[np.uint64]":
    """SplitMix64 of each number, so that a row's choice does not depend on where a chunk begins."""
    golden = 0x9E3779B97F4A7C15
    found: Any = numbers.astype(np.uint64) + np.uint64(seed * golden % (1 << 64))
    found = (found + np.uint64(1)) * np.uint64(golden)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(factor)
    hashed: npt.NDArray[np.uint64] = found ^ (found >> np.uint64(31))
    return hashed
