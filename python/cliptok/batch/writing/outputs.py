"""Output files, written a table at a time. Parquet and safetensors hold a record of how they were made."""

import io
import json
import math
import shutil
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cliptok.batch.list_arrays import as_array
from cliptok.batch.summary import Counts

Record = dict[str, Any]
"""How an output was made: `settings` of the job, `input` as it was, `counts`; and its own `sha256`."""

RECORD = "cliptok"
"""The record's name in a file's own metadata."""
_MOST = 10**15  # Rows, tokens: a bound for sizing headers before the counts are known.


class ParquetOutput:
    """A Parquet file being written: a row group per table, with the schema of the first."""

    def __init__(self, file: BinaryIO, first: pa.Table, draft: Record) -> None:
        # Dictionary encoding makes ids smallest; embeddings gain nothing. No query uses statistics of ids or values.
        values = {field.name for field in first.schema if _is_lists_of_floats(field.type)}
        others = [name for name in first.column_names[1:] if name not in values]
        self._writer = pq.ParquetWriter(
            file,
            first.schema,
            compression="zstd",
            use_dictionary=others if values else True,
            write_statistics=others,
            write_page_checksum=True,
        )

    def write(self, table: pa.Table) -> None:
        """Add the table's rows."""
        self._writer.write_table(table)

    def finish(self, record: Record) -> None:
        """Write the footer or header, with the record: the file is then complete."""
        self._writer.add_key_value_metadata({RECORD: json.dumps(record)})
        self._writer.close()

    def abandon(self) -> None:
        """Release the file, which the caller discards."""
        with suppress(OSError, pa.ArrowException):
            self._writer.close()
        self._writer.is_open = False  # Else it tries once more when it is freed.


class ArrayOutput:
    """The first column as one array. The header holds the number of rows, so it is written last."""

    def __init__(self, file: BinaryIO, first: pa.Table, draft: Record) -> None:
        self._file, self._rows = file, 0
        empty = as_array(first.column(0).slice(0, 0))
        self._dtype, self._shape = empty.dtype, empty.shape[1:]
        self._header_size = len(self._header(_MOST, {**draft, "counts": dict.fromkeys(Counts().as_dict(), _MOST)}, 0))
        file.write(bytes(self._header_size))

    def write(self, table: pa.Table) -> None:
        """Add the table's rows."""
        self._rows += len(table)
        self._file.write(as_array(table.column(0)).data)

    def finish(self, record: Record) -> None:
        """Write the footer or header, with the record: the file is then complete."""
        header = self._header(self._rows, record, self._header_size)
        assert len(header) == self._header_size
        self._file.seek(0)
        self._file.write(header)

    def abandon(self) -> None:
        """Release the file, which the caller discards."""

    def _header(self, rows: int, record: Record, size: int) -> bytes:
        """The header, padded to `size` bytes where it needs fewer."""
        raise NotImplementedError


class NpyOutput(ArrayOutput):
    """An array that `numpy.load(path, mmap_mode="r")` maps."""

    def _header(self, rows: int, record: Record, size: int) -> bytes:
        return npy_header(self._dtype, (rows, *self._shape))


class SafetensorsOutput(ArrayOutput):
    """One tensor for each column, named as it. The library would need all of them in memory to write them."""

    def __init__(self, file: BinaryIO, first: pa.Table, draft: Record) -> None:
        # A tensor's values stand together: those of the second, pooled outputs, wait beside.
        self._more = {name: TemporaryFile() for name in first.column_names[1:]}  # noqa: SIM115 (closed by abandon)
        self._kinds = {name: as_array(first.column(name).slice(0, 0)) for name in first.column_names}
        for field in first.schema:
            if (field.metadata or {}).get(b"dtype") == b"bfloat16":
                self._kinds[field.name] = self._kinds[field.name].view("V2")
        super().__init__(file, first, draft)

    def write(self, table: pa.Table) -> None:
        """Add the table's rows."""
        super().write(table)
        for name, waiting in self._more.items():
            waiting.write(as_array(table.column(name)).data)

    def finish(self, record: Record) -> None:
        """Write the footer or header, with the record: the file is then complete."""
        for waiting in self._more.values():
            waiting.seek(0)
            shutil.copyfileobj(waiting, self._file)
        self.abandon()
        super().finish(record)

    def abandon(self) -> None:
        """Release the file, which the caller discards."""
        for waiting in self._more.values():
            waiting.close()

    def _header(self, rows: int, record: Record, size: int) -> bytes:
        tensors = {name: (empty.dtype, (rows, *empty.shape[1:])) for name, empty in self._kinds.items()}
        return safetensors_header(tensors, record, size)


def npy_header(dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> bytes:
    """What a .npy file begins with."""
    header = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    # NumPy pads it so that the number of rows can grow, so its length is always the same.
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def safetensors_header(
    tensors: "dict[str, tuple[np.dtype[Any], tuple[int, ...]]]", record: Record, size: int = 0
) -> bytes:
    """What a safetensors file with these tensors, one behind another, begins with: `size` bytes at least."""
    fields: dict[str, Any] = {"__metadata__": {RECORD: json.dumps(record)}}
    start = 0
    for name, (dtype, shape) in tensors.items():
        stop = start + math.prod(shape) * dtype.itemsize
        kind = {"u": "U", "i": "I", "f": "F", "V": "BF"}[dtype.kind]
        fields[name] = {"dtype": f"{kind}{dtype.itemsize * 8}", "shape": shape, "data_offsets": (start, stop)}
        start = stop
    header = json.dumps(fields).encode()
    size = max(size, -(-(8 + len(header)) // 64) * 64)
    return (size - 8).to_bytes(8, "little") + header.ljust(size - 8)


def _is_lists_of_floats(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind) and bool(pa.types.is_floating(_innermost(kind)))


def _innermost(kind: pa.DataType) -> pa.DataType:
    return _innermost(kind.value_type) if hasattr(kind, "value_type") else kind
