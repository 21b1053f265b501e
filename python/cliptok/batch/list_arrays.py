"""Arrays (n, ...) to Arrow columns of fixed-size lists and back, without a copy."""

from typing import Any

import numpy.typing as npt
import pyarrow as pa


def as_lists(values: npt.NDArray[Any]) -> pa.Array:
    """An array (n, ...) as a column of fixed-size lists, nested where there are more dimensions."""
    column = pa.array(values.reshape(-1))
    for size in reversed(values.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


BFLOAT16 = {"dtype": "bfloat16"}
"""Metadata of a column whose values are bfloat16, as uint16: neither Arrow nor NumPy has the type."""


def as_array(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The array (n, ...) of a column of fixed-size lists."""
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    shape = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        shape.append(array.type.list_size)
        array = array.flatten()
    found: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False).reshape(shape)
    return found
