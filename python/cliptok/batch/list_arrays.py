"""NumPy arrays to Arrow columns and back, without a copy: one of numbers, and (n, ...) as fixed-size lists."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}
"""NumPy's names of these types of Arrow; those of integers are the same."""


def as_column(values: npt.NDArray[Any]) -> pa.Array:
    """An array (n,) of numbers as a column. `pa.array` would import pandas, where that is installed: a second."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers)


def as_numpy(column: pa.Array) -> npt.NDArray[Any]:
    """The array (n,) of a column of numbers without nulls. `to_numpy` and `to_pandas_dtype` would import pandas too."""
    name = str(column.type)
    values: npt.NDArray[Any] = np.frombuffer(column.buffers()[1] or b"", _FLOATS.get(name, name))
    return values[column.offset : column.offset + len(column)]


def as_lists(values: npt.NDArray[Any]) -> pa.Array:
    """An array (n, ...) as a column of fixed-size lists, nested where there are more dimensions."""
    column = as_column(values.reshape(-1))
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
    return as_numpy(array).reshape(shape)
