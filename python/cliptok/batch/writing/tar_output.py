"""WebDataset archives: a sample for each row, with its arrays as `.npy` or `.safetensors` beside its other files.

Whoever makes one again gets the same bytes: no times, no owners. The record is the comment in a global header at the
front, where git has a commit's name: readers of archives pass over it.
"""

import json
import tarfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok.batch.list_arrays import as_array, as_numpy
from cliptok.batch.reading.sample_fields import KEY
from cliptok.batch.reading.tar import MEMBERS
from cliptok.batch.writing.outputs import Record, npy_header
from cliptok.batch.writing.reserved import fill, read, reserve

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_COMMENT = b" comment="
_COMMON_NAME = 100
_COMMON_SIZE = 0o77777777777
"""Bytes of a name, and the size of a file, that a header has room for itself."""

_Files = Iterator[tuple[str, bytes] | None]


class TarOutput:
    """An archive being written."""

    def __init__(self, file: BinaryIO, first: pa.Table, draft: Record) -> None:
        self._file, self._reserved = file, reserve(draft)
        self._as_safetensors = draft["settings"]["samples"] == "safetensors"
        self._headers = _Headers()
        self.names: tuple[str, str] | None = None
        """Of the first and the last sample, once there is one."""
        for name in first.column_names:
            if "/" in name or "\0" in name or name != name.lower():
                raise BadInputError(
                    f"the column {name!r} cannot be an extension in an archive; those are in lower case"
                )
        file.write(_global_header(self._reserved))

    def write(self, table: pa.Table) -> None:
        """Add a sample for each of the table's rows."""
        blocks: list[bytes] = []
        others = [name for name in table.column_names if name not in (KEY, MEMBERS)]
        arrays = [name for name in others if _is_numbers(table.schema.field(name).type)]
        columns = [_files(name, table.column(name)) for name in others if name not in arrays]
        made = {name: _rows(table.column(name)) for name in arrays}
        columns += [_as_safetensors(made)] if self._as_safetensors else [_as_npy(*each) for each in made.items()]
        members = table.column(MEMBERS).to_pylist() if MEMBERS in table.column_names else [()] * len(table)
        for key, carried, *files in zip(table.column(KEY).to_pylist(), members, *columns, strict=True):
            self._check_key(key)
            sample = {}
            for extension, content in (*carried, *(one for one in files if one is not None)):
                if extension in sample:
                    raise BadInputError(f"the sample {key!r} has a file .{extension} already; leave it out with --keep")
                sample[extension] = content
            for extension, content in sample.items():
                blocks += (self._headers(f"{key}.{extension}", len(content)), content, bytes(-len(content) % _BLOCK))
        self._file.write(b"".join(blocks))

    def finish(self, record: Record) -> None:
        """Write the footer or header, with the record: the file is then complete."""
        self._file.write(_END)
        size = self._file.tell()
        self._file.seek(0)
        self._file.write(_global_header(fill(self._reserved, record, size)))

    def abandon(self) -> None:
        """Release the file, which the caller discards."""

    def _check_key(self, key: str | None) -> None:
        base = (key or "").rpartition("/")[2]
        if key is None or not base or "." in base or "\0" in base:
            raise BadInputError(f"{key!r} in {KEY} cannot be the name of a sample; it ends at its first dot")
        first, last = self.names or (key, None)
        check_names_differ(last, key)
        self.names = (first, key)


def check_names_differ(name: str | None, following: str | None) -> None:
    """Raise BadInputError for two samples after another that have one name."""
    if name == following is not None:
        raise BadInputError(f"two rows after another have the name {name!r} in {KEY}, and would be one sample")


def look(file: BinaryIO, size: int) -> tuple[int, Record | None]:
    """(rows, record). Raises whatever a file that is no archive of ours leads to."""
    start, length = comment(file)
    file.seek(start)
    record = read(file.read(length), size)
    # That it is as long as its record says shows that nothing is missing, and only reading all would count samples.
    return (0, None) if record is None else (record["counts"]["texts"], record)


def comment(file: BinaryIO) -> tuple[int, int]:
    """Where the comment at the front of an archive is, and its length."""
    file.seek(0)
    header = file.read(_BLOCK)
    payload = file.read(int(header[124:135], 8) if header[156:157] == tarfile.XGLTYPE else 0)
    begin = payload.index(_COMMENT) + len(_COMMENT)
    return _BLOCK + begin, int(payload[: begin - len(_COMMENT)]) - begin - 1


def samples_in(file: BinaryIO, size: int) -> tuple[int, int]:
    """Where the samples of an archive of `size` bytes begin and end."""
    start, length = comment(file)
    return -(-(start + length + 1) // _BLOCK) * _BLOCK, size - len(_END)


def _global_header(text: bytes) -> bytes:
    return tarfile.TarInfo.create_pax_global_header({"comment": text.decode()})


class _Headers:
    """Headers of members: as tarfile's, which takes ten times as long for those that differ in the name alone."""

    def __init__(self) -> None:
        self._templates: dict[int, tuple[bytes, int]] = {}

    def __call__(self, name: str, size: int) -> bytes:
        encoded = name.encode()
        if not name.isascii() or len(encoded) > _COMMON_NAME or size > _COMMON_SIZE:
            return _header(name, size)
        if size not in self._templates:
            template = _header("", size)
            if len(self._templates) > 1000:
                self._templates.clear()
            self._templates[size] = template, int(template[148:154], 8)
        template, checksum = self._templates[size]
        total = b"%06o\0" % (checksum + sum(encoded))
        return encoded.ljust(_COMMON_NAME, b"\0") + template[_COMMON_NAME:148] + total + template[155:]


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)


def _is_numbers(kind: pa.DataType) -> bool:
    """Whether each value is an array: lists of numbers, or of lists of them of one size."""
    if not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    inner = kind.value_type
    while pa.types.is_fixed_size_list(inner):
        inner = inner.value_type
    return bool(pa.types.is_integer(inner) or pa.types.is_floating(inner))


def _rows(column: pa.ChunkedArray) -> list[npt.NDArray[Any] | None]:
    """The array of each row of a column of lists of numbers; None for a null."""
    array = column.combine_chunks()
    if array.null_count:
        return [None if row is None else np.array(row) for row in array.to_pylist()]
    if pa.types.is_fixed_size_list(array.type):
        return list(as_array(column))
    values = array.values
    inner = as_array(pa.chunked_array([values])) if pa.types.is_fixed_size_list(values.type) else as_numpy(values)
    return [inner[begin:end] for begin, end in pairwise(array.offsets.to_pylist())]


def _as_npy(name: str, rows: list[npt.NDArray[Any] | None]) -> _Files:
    headers: dict[tuple[int, ...], bytes] = {}
    for row in rows:
        if row is None:
            yield None
            continue
        if row.shape not in headers:
            headers[row.shape] = npy_header(row.dtype, row.shape)
        yield f"{name}.npy", headers[row.shape] + row.tobytes()


def _as_safetensors(columns: dict[str, list[npt.NDArray[Any] | None]]) -> _Files:
    from safetensors.numpy import save

    for rows in zip(*columns.values(), strict=True):
        there = {name: row for name, row in zip(columns, rows, strict=True) if row is not None}
        yield ("safetensors", save({name: np.ascontiguousarray(row) for name, row in there.items()})) if there else None


def _files(name: str, column: pa.ChunkedArray) -> _Files:
    """A file of each row for a kept column: bytes as they are, strings as `.txt`, anything else as `.json`."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    encode: Callable[[Any], bytes]
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        extension, encode = name, bytes
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        extension, encode = f"{name}.txt", str.encode
    else:
        extension, encode = f"{name}.json", _as_json
    for value in column.to_pylist():
        yield None if value is None else (extension, encode(value))


def _as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode()
