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
        found: list[pa.Table] = []
        while (size := self._complete(joined)) is not None:
            found.append(joined.slice(0, size))
            joined = joined.slice(size)
            self._is_first = False
        self._waiting = [joined]
        return found

    def rest(self) -> list[pa.Table]:
        """The last chunk, where rows are left, or there was none yet."""
        return self._waiting if self._is_first or len(self._waiting[0]) else []

    def _complete(self, table: pa.Table) -> int | None:
        """Rows of the chunk that `table` begins with, if it is complete."""
        most = self._rows
        if table.nbytes > BYTES:
            ends = np.cumsum(sum(_bytes_of_rows(column) for column in table.columns))
            most = min(most, max(1, int(np.searchsorted(ends, BYTES, side="right"))))
            return most if len(table) > most or len(table) == self._rows else None
        return most if len(table) >= most else None


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
