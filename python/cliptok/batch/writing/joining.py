"""Outputs in parts to one output, without decoding them: headers and footers are made anew, the rest is copied."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from cliptok.batch.stores.paths import AnyPath
from cliptok.batch.writing.arrow_output import ArrowOutput
from cliptok.batch.writing.outputs import RECORD, Record, npy_header, safetensors_header
from cliptok.batch.writing.parquet_footer import MAGIC, Footer, JoinedFooter
from cliptok.batch.writing.tar_output import TarOutput, samples_in

_BLOCK = 1 << 22
_DTYPES = {"U": "uint", "I": "int", "F": "float"}


class PartFile(NamedTuple):
    """A file that begins with an output."""

    path: AnyPath
    size: int
    """Bytes of the output."""
    copy: BinaryIO | None = None
    """The same file on this machine, open; whoever made the part closes it."""

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file, to be read. Raises OSError."""
        if self.copy is not None:
            self.copy.seek(0)
            yield self.copy
            return
        with self.path.open("rb") as file:
            yield file


def join(format: str, parts: Sequence[PartFile], file: BinaryIO, record: Record) -> None:
    """Write one output that has the rows of all parts, in this order, and the record.

    Parts are opened one by one: there may be more of them than a process may have open files.
    Raises ValueError where a part is not an output of that format.
    """
    joins: dict[str, Callable[[Sequence[PartFile], BinaryIO, Record], None]] = {
        "parquet": _join_parquet,
        "npy": _join_npy,
        "safetensors": _join_safetensors,
        "arrow": _join_arrow,
        "tar": _join_tar,
    }
    joins[format](parts, file, record)


def _join_parquet(parts: Sequence[PartFile], file: BinaryIO, record: Record) -> None:
    joined: JoinedFooter | None = None
    file.write(MAGIC)
    for part in parts:
        with part.opened() as source:
            footer = Footer.read(source, part.size)
            joined = joined or JoinedFooter(footer)
            joined.add(footer)
            copy_range(source, file, len(MAGIC), footer.start - len(MAGIC))
    assert joined is not None  # There is a part.
    file.write(joined.to_bytes({RECORD: json.dumps(record)}))


def _join_npy(parts: Sequence[PartFile], file: BinaryIO, record: Record) -> None:
    shapes, starts = [], []
    for part in parts:
        with part.opened() as source:
            np.lib.format.read_magic(source)
            shape, _, dtype = np.lib.format.read_array_header_1_0(source)
            shapes.append(shape)
            starts.append(source.tell())
    file.write(npy_header(dtype, (sum(shape[0] for shape in shapes), *shapes[0][1:])))
    for part, start in zip(parts, starts, strict=True):
        with part.opened() as source:
            copy_range(source, file, start, part.size - start)


def _join_safetensors(parts: Sequence[PartFile], file: BinaryIO, record: Record) -> None:
    headers: list[tuple[int, dict[str, Any]]] = []
    for part in parts:
        with part.opened() as source:
            length = int.from_bytes(source.read(8), "little")
            header = json.loads(source.read(length))
        header.pop("__metadata__")
        headers.append((8 + length, header))
    tensors = {}
    for name, one in headers[0][1].items():
        rows = sum(header[name]["shape"][0] for _, header in headers)
        is_bfloat16 = one["dtype"] == "BF16"
        dtype = np.dtype("V2" if is_bfloat16 else f"{_DTYPES[one['dtype'][0]]}{one['dtype'][1:]}")
        tensors[name] = (dtype, (rows, *one["shape"][1:]))
    file.write(safetensors_header(tensors, record))
    for name in tensors:
        for part, (start, header) in zip(parts, headers, strict=True):
            begin, end = header[name]["data_offsets"]
            with part.opened() as source:
                copy_range(source, file, start + begin, end - begin)


def _join_arrow(parts: Sequence[PartFile], file: BinaryIO, record: Record) -> None:
    output: ArrowOutput | None = None
    for reader in arrow_readers(parts):
        output = output or ArrowOutput(file, reader.schema.empty_table(), record)
        for number in range(reader.num_record_batches):
            output.write(pa.Table.from_batches([reader.get_batch(number)]))
    assert output is not None  # There is a part.
    output.finish(record)


def arrow_readers(parts: Sequence[PartFile]) -> Iterator[Any]:
    """Readers of parts that are Arrow files, one after another. Values are not compressed, so nothing is decoded."""
    for part in parts:
        with part.opened() as source:
            yield pa.ipc.open_file(pa.PythonFile(_Beginning(source, part.size), "r"))


def _join_tar(parts: Sequence[PartFile], file: BinaryIO, record: Record) -> None:
    output = TarOutput(file, pa.table({}), record)
    for part in parts:
        with part.opened() as source:
            start, end = samples_in(source, part.size)
            copy_range(source, file, start, end - start)
    output.finish(record)


class _Beginning:
    """The first bytes of a file, as a file."""

    closed = False

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        left = max(0, self._size - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = 0) -> int:
        """As any file's."""
        return self._file.seek(self._size + offset if whence == 2 else offset, 0 if whence == 2 else whence)

    def tell(self) -> int:
        """As any file's."""
        return self._file.tell()

    def seekable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Nothing: whoever opened the file closes it."""


def copy_range(source: BinaryIO, target: BinaryIO, start: int, size: int) -> None:
    """Append `size` bytes of a file to another, inside the kernel where it can. Raises ValueError for too few."""
    target.flush()
    at = target.tell()
    while size and hasattr(os, "copy_file_range"):
        try:
            copied = os.copy_file_range(source.fileno(), target.fileno(), min(size, 1 << 30), start, at)
        except OSError:  # Not between these file systems; a full disk says so again below.
            break
        if not copied:
            break
        start, at, size = start + copied, at + copied, size - copied
    source.seek(start)
    target.seek(at)
    while size:
        block = source.read(min(size, _BLOCK))
        if not block:
            raise ValueError("a part ends too early")
        target.write(block)
        size -= len(block)
