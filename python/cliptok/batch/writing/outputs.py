"""Output files, written a table at a time. Parquet and safetensors hold a record of how they were made."""

import io
import json
import math
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cliptok.batch.list_columns import as_array
from cliptok.batch.report import Counts

Record = dict[str, Any]
"""How an output was made: `settings` of the job, `input` as it was, `counts`."""

RECORD = "cliptok"
"""The record's name in a file's own metadata."""
_MOST = 10**15


class ParquetOutput:
    """A file in the making. Each table is a row group, and the first one shows what columns there are."""

    def __init__(self, file: BinaryIO, first: pa.Table, draft: Record) -> None:
        # A dictionary makes ids smaller than any other encoding does; embeddings have nothing to gain. Nobody looks for
        # the least id or value of a row group.
        others = first.column_names[1:]
        self._writer = pq.ParquetWriter(
            file,
            first.schema,
            compression="zstd",
            use_dictionary=others if pa.types.is_floating(_innermost(first.schema.types[0])) else True,
            write_statistics=others,
            write_page_checksum=True,
        )

    def write(self, table: pa.Table) -> None:
        """Add the table's rows."""
        self._writer.write_table(table)

    def finish(self, record: Record) -> None:
        """Write what is missing: then the file is whole."""
        self._writer.add_key_value_metadata({RECORD: json.dumps(record)})
        self._writer.close()

    def abandon(self) -> None:
        """Let go of the file, which will be thrown away."""
        with suppress(OSError, pa.ArrowException):
            self._writer.close()
        self._writer.is_open = False  # Else it tries once more when it is freed.


class ArrayOutput:
    """A file of the first column as one array. Its header holds the number of rows, so it is written last."""

    def __init__(self, file: BinaryIO, first: pa.Table, draft: Record) -> None:
        self._file, self._rows = file, 0
        self._name = first.column_names[0]
        empty = as_array(first.column(0).slice(0, 0))
        self._dtype, self._shape = empty.dtype, empty.shape[1:]
        self._room = len(self._header(_MOST, {**draft, "counts": dict.fromkeys(Counts().as_dict(), _MOST)}, 0))
        file.write(bytes(self._room))

    def write(self, table: pa.Table) -> None:
        """Add the table's rows."""
        self._rows += len(table)
        self._file.write(as_array(table.column(0)).data)

    def finish(self, record: Record) -> None:
        """Write what is missing: then the file is whole."""
        header = self._header(self._rows, record, self._room)
        assert len(header) == self._room
        self._file.seek(0)
        self._file.write(header)

    def abandon(self) -> None:
        """Let go of the file, which will be thrown away."""

    def _header(self, rows: int, record: Record, room: int) -> bytes:
        """What stands before the rows, in `room` bytes if that is more than it needs."""
        raise NotImplementedError


class NpyOutput(ArrayOutput):
    """An array that `numpy.load(path, mmap_mode="r")` maps."""

    def _header(self, rows: int, record: Record, room: int) -> bytes:
        header = io.BytesIO()
        description = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False}
        # NumPy leaves room for the number of rows to grow, so its length is always the same.
        np.lib.format.write_array_header_1_0(header, {**description, "shape": (rows, *self._shape)})
        return header.getvalue()


class SafetensorsOutput(ArrayOutput):
    """One tensor, named as the column. The library would need all of it in memory to write it."""

    def _header(self, rows: int, record: Record, room: int) -> bytes:
        shape = (rows, *self._shape)
        kind = {"u": "U", "i": "I", "f": "F"}[self._dtype.kind]
        tensor = {
            "dtype": f"{kind}{self._dtype.itemsize * 8}",
            "shape": shape,
            "data_offsets": (0, math.prod(shape) * self._dtype.itemsize),
        }
        header = json.dumps({"__metadata__": {RECORD: json.dumps(record)}, self._name: tensor}).encode()
        room = max(room, -(-(8 + len(header)) // 64) * 64)
        return (room - 8).to_bytes(8, "little") + header.ljust(room - 8)


Output = ParquetOutput | ArrayOutput


def create(format: str, file: BinaryIO, first: pa.Table, draft: Record) -> Output:
    """An output that goes to `file` and has the columns of the table `first`; its record will be like `draft`."""
    kinds: dict[str, type[Output]] = {"parquet": ParquetOutput, "npy": NpyOutput, "safetensors": SafetensorsOutput}
    return kinds[format](file, first, draft)


def _innermost(kind: pa.DataType) -> pa.DataType:
    return _innermost(kind.value_type) if pa.types.is_nested(kind) else kind
