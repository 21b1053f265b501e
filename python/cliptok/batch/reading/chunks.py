"""Tables of any size to tables of even size, whose bounds depend on the rows alone."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types

BYTES = 1 << 25


class Chunks:
    """Tables of `rows` rows, or of fewer where those have more than 32 MiB. Nothing is copied."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._waiting: list[pa.Table] = []
        self._is_first = True

    def add(self, table: pa.Table) -> list[pa.Table]:
        """The chunks that are complete with the rows of `table`."""
        joined = pa.concat_tables([*self._waiting, table])
        ends = np.cumsum(sum(_bytes_of_rows(column) for column in joined.columns)) if joined.nbytes > BYTES else None
        found: list[pa.Table] = []
        begin = 0
        while (size := self._complete(len(joined), begin, ends)) is not None:
            found.append(joined.slice(begin, size))
            begin += size
            self._is_first = False
        self._waiting = [joined.slice(begin)]
        return found

    def rest(self) -> list[pa.Table]:
        """The last chunk, where rows are left, or there was none yet."""
        return self._waiting if self._is_first or len(self._waiting[0]) else []

    def _complete(self, stop: int, begin: int, ends: "npt.NDArray[np.float64] | None") -> int | None:
        """Rows of the chunk that begins at a row, if it is complete by `stop`. `ends` has the bytes up to each row."""
        most = self._rows
        if ends is not None and begin < stop:
            before = ends[begin - 1] if begin else 0.0
            most = min(most, max(1, int(np.searchsorted(ends, before + BYTES, side="right")) - begin))
        left = stop - begin
        return most if left > most or left == self._rows else None


class SharedTexts:
    """A column whose rows may share what they hold, by a dictionary or as views: a small one decodes to any size.

    Of others, whose rows have their own bytes, all are decoded at once.
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._rows = len(column)
        self._ends: npt.NDArray[np.float64] | None = None
        if _is_shared(column.type) and self._rows:
            self._ends = np.cumsum(np.concatenate([_lengths(one) for one in column.chunks]), dtype=np.float64)

    def stop(self, begin: int) -> int:
        """Behind the last row, of those from `begin` on, that is decoded together with them: 32 MiB, or one row."""
        if self._ends is None or begin == self._rows:
            return self._rows
        before = self._ends[begin - 1] if begin else 0.0
        return max(begin + 1, int(np.searchsorted(self._ends, before + BYTES, side="right")))


def _is_shared(kind: pa.DataType) -> bool:
    kinds = pyarrow.types
    return bool(kinds.is_dictionary(kind) or kinds.is_string_view(kind) or kinds.is_binary_view(kind))


def _lengths(texts: pa.Array) -> "npt.NDArray[np.int64]":
    """The bytes of each text, those of a dictionary or views too; 0 for a null."""
    kinds = pyarrow.types
    if kinds.is_dictionary(texts.type):
        of_values = np.append(_lengths(texts.dictionary), 0)
        found: npt.NDArray[np.int64]
        found = of_values[texts.indices.cast(pa.int64()).fill_null(len(of_values) - 1).to_numpy()]
        return found
    if kinds.is_string_view(texts.type) or kinds.is_binary_view(texts.type):
        views = np.frombuffer(texts.buffers()[1], np.int32).reshape(-1, 4)  # A view begins with its length.
        lengths = views[texts.offset : texts.offset + len(texts), 0].astype(np.int64)
        return np.where(texts.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    if kinds.is_null(texts.type):
        return np.zeros(len(texts), np.int64)
    found = pc.fill_null(pc.binary_length(texts), 0).to_numpy()
    return found.astype(np.int64)


def _bytes_of_rows(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """About the bytes that each row takes: the same however rows were read, and never more than the column's own."""
    kind, kinds = column.type, pyarrow.types
    lengths: Any = None
    each = 1.0
    if kinds.is_string(kind) or kinds.is_binary(kind) or kinds.is_large_string(kind) or kinds.is_large_binary(kind):
        lengths = pc.binary_length(column)
    elif kinds.is_list(kind) or kinds.is_large_list(kind):
        lengths, each = pc.list_value_length(column), _width(kind.value_type)
    if lengths is None:
        return np.full(len(column), _width(kind))
    found: npt.NDArray[np.float64] = pc.fill_null(lengths, 0).to_numpy().astype(np.float64) * each
    return found


def _width(kind: pa.DataType) -> float:
    """Bytes that a value takes at least."""
    if pyarrow.types.is_fixed_size_list(kind):
        return float(kind.list_size * _width(kind.value_type))
    try:
        return float(kind.bit_width / 8)
    except ValueError:  # It has no fixed width.
        return 0.0
