"""Policies for nulls and for bytes that are not UTF-8. Empty texts are texts: they are only counted."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types

from cliptok._common.errors import BadInputError
from cliptok.batch.list_arrays import as_column
from cliptok.batch.summary import Counts

ON_NULL = ("error", "empty", "skip")
ON_UNDECODABLE = ("error", "replace", "skip")


def clean(
    table: pa.Table, unit: str, on_null: str, on_undecodable: str, counts: Counts, numbers: "npt.NDArray[Any]"
) -> pa.Table:
    """`table` with valid strings and no null in its first column, by the policies; `counts` is updated.

    Raises BadInputError that names the row, a `unit`, by its number in the file.
    """
    texts = _as_strings(table.column(0))
    skipped = np.zeros(len(texts), bool)

    def place(flags: npt.NDArray[np.bool_]) -> str:
        return f"{unit} {numbers[flags.argmax()]}"

    if texts.null_count:
        null = texts.is_null().to_numpy(zero_copy_only=False)
        if on_null == "error":
            raise BadInputError(f"{place(null)} has no text in {table.column_names[0]!r} (on_null: empty or skip)")
        counts.null += texts.null_count
        skipped |= null & (on_null == "skip")
        texts = texts.fill_null("")
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raw = _as_bytes(texts)
        texts, broken = _decoded(raw, texts.type)
        if on_undecodable == "error":
            raise BadInputError(f"{place(broken)} {_trouble(raw[int(broken.argmax())])}") from None
        counts.undecodable += int(broken.sum())
        skipped |= broken & (on_undecodable == "skip")
    counts.rows += len(table)
    table = table.set_column(0, table.column_names[0], texts)
    if skipped.any():
        table = table.take(as_column(np.flatnonzero(~skipped)))
    counts.texts += len(table)
    has_bytes = pc.cast(pc.binary_length(table.column(0)), pa.bool_())
    counts.empty += len(table) - sum(chunk.true_count for chunk in has_bytes.chunks)
    return table


def _as_strings(column: pa.ChunkedArray) -> Any:
    """One array of strings, or of bytes taken for strings, valid or not. Copied only if it must be."""
    kinds = pyarrow.types
    texts = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if kinds.is_dictionary(texts.type):
        texts = texts.dictionary_decode()
    if kinds.is_null(texts.type):
        return texts.cast(pa.string())
    if kinds.is_string_view(texts.type) or kinds.is_binary_view(texts.type):
        texts = texts.cast(pa.large_binary())
    if kinds.is_binary(texts.type):
        return texts.view(pa.string())
    return texts.view(pa.large_string()) if kinds.is_large_binary(texts.type) else texts


def _as_bytes(texts: Any) -> list[bytes]:
    is_large = pyarrow.types.is_large_string(texts.type)
    found: list[bytes] = texts.view(pa.large_binary() if is_large else pa.binary()).to_pylist()
    return found


def _decoded(raw: list[bytes], kind: pa.DataType) -> tuple[Any, npt.NDArray[np.bool_]]:
    """The texts with U+FFFD for what is not UTF-8, and a mask of those that had any."""
    replaced = [text.decode(errors="replace") for text in raw]
    broken = [text.encode() != old for text, old in zip(replaced, raw, strict=True)]
    return pa.array(replaced, kind), np.array(broken, bool)


def _trouble(text: bytes) -> str:
    """The first byte of a text that is not UTF-8, as an error says it."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return f"is not UTF-8: byte {error.start + 1} is 0x{text[error.start]:02x} (on_undecodable: replace or skip)"
    raise AssertionError("it is not UTF-8")
