"""Zip archives and pickles as torch writes them, checked before anything is reserved for what they say they hold."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from cliptok._common.json_files import one_line
from cliptok._common.regular_files import check_regular

MAX_PICKLE_NAME = 1000
"""Characters of the name of a class in a pickle. torch's error for one of a million takes minutes to write."""

STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "QInt8Storage": torch.int8,
    "QUInt8Storage": torch.uint8,
    "QInt32Storage": torch.int32,
    "QUInt4x2Storage": torch.uint8,
    "QUInt2x4Storage": torch.uint8,
    "UntypedStorage": torch.uint8,
}
"""What storages of each class hold, by which pickles name them."""

_MEMO = ("PUT", "BINPUT", "LONG_BINPUT")
_LEGACY_PICKLES, _LEGACY_BYTES = 5, 16 << 20


def open_archive(path: Path) -> zipfile.ZipFile:
    """A zip file whose members are stored, each once, and do not take more room together than the file has.

    So torch writes them, but for the source text of TorchScript, which is never read here. Raises ValueError that names
    the file for any other: a compressed member may grow a thousandfold, and of two members with one name readers take
    either.
    """
    check_regular(path)
    size = path.stat().st_size
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError, EOFError) as error:
        raise ValueError(f"{path} is cut short or damaged: {error}") from error
    members = [member for member in archive.infolist() if "/code/" not in member.filename]
    compressed = next((member.filename for member in members if member.compress_type != zipfile.ZIP_STORED), None)
    if compressed is not None:
        archive.close()
        raise ValueError(f"{path} was refused: {compressed!r} in it is compressed, which torch never writes")
    names = Counter(member.filename for member in members)
    odd = [name for name, count in names.items() if count > 1]
    odd += [m.filename for m in members if m.file_size != m.compress_size or (m.file_size and _is_folder(m))]
    if odd:
        archive.close()
        raise ValueError(f"{path} is damaged: {odd[0]!r} is in it twice, of two sizes, or a folder")
    if (whole := sum(member.file_size for member in members)) > size:
        archive.close()
        raise ValueError(f"{path} is damaged: its members take {whole:,} bytes, and the file has {size:,}")
    return archive


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith("/") or bool(member.external_attr & 0x10)


def check_zipped(path: Path) -> None:
    """Raise ValueError for a zipped pickle that is damaged, or whose storages have other bytes than it says.

    `torch.load` of a mapped file does not look, and gives the bytes of whatever comes behind.
    """
    with open_archive(path) as archive:
        members = {member.filename: member.file_size for member in archive.infolist()}
        data = next((name for name in members if name.endswith("/data.pkl")), "data.pkl")
        content = read_member(archive, data)
    try:
        unpickler = _Storages(checked_pickle(content))
        unpickler.load()
    except Exception as error:  # Whatever damaged bytes do to the unpickler.
        raise ValueError(f"{path} is damaged: {one_line(error)}, in {data!r}") from error
    for record, said in unpickler.found:
        if (found := members.get(f"{data.removesuffix('data.pkl')}data/{record}")) != said:
            raise ValueError(f"{path} is damaged: data/{record} in it has {found} bytes, and should have {said}")


class _Anything:
    """Stands in for every class and function, and does nothing."""

    def __init__(self, *_: Any) -> None: ...

    def __call__(self, *_: Any) -> _Anything:
        return self

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def extend(self, items: Any) -> None: ...

    append = add = update = extend


class _Storages(pickle.Unpickler):
    def __init__(self, content: io.BytesIO) -> None:
        super().__init__(content)
        self.found: set[tuple[str, int]] = set()

    def find_class(self, module: str, name: str) -> Any:
        return STORAGE_DTYPES.get(name, _Anything) if module in ("torch", "torch.storage") else _Anything

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, record, _location, count = pid
        self.found.add((record, count * dtype.itemsize))
        return _Anything()


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes. Raises ValueError where it is missing or damaged."""
    try:
        return archive.read(name)
    except (KeyError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise ValueError(f"{archive.filename}: {name!r} is missing or damaged: {error}") from error


def checked_pickle(content: bytes) -> io.BytesIO:
    """A pickle whose numbers of bytes and of memo places are within its own length: Python reserves what they say.

    Raises UnpicklingError for any other, and for one with the name of a class longer than MAX_PICKLE_NAME.
    """
    try:
        for opcode, argument, _ in pickletools.genops(content):
            _check_name(opcode.name, argument)
            if opcode.name in _MEMO and not 0 <= int(argument or 0) <= len(content):
                raise ValueError(f"it has {len(content):,} bytes and wants place {argument}")
    except (ValueError, OverflowError, UnicodeError) as error:
        raise pickle.UnpicklingError(f"it is no whole pickle: {error}") from error
    return io.BytesIO(content)


def check_legacy(path: Path) -> None:
    """Raise ValueError for a file of several pickles, as torch wrote them before 2020, with too long a name.

    What is wrong with it otherwise torch finds out.
    """
    with path.open("rb") as file:
        content = io.BytesIO(file.read(min(_LEGACY_BYTES, path.stat().st_size)))
    try:
        for _ in range(_LEGACY_PICKLES):
            for opcode, argument, _ in pickletools.genops(content):
                _check_name(opcode.name, argument)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} was refused: {error}") from error
    except (ValueError, OverflowError):  # It is no pickle.
        return


def _check_name(opcode: str, argument: Any) -> None:
    if opcode in ("GLOBAL", "INST") and len(argument) > MAX_PICKLE_NAME:
        raise pickle.UnpicklingError(f"it names a class of {len(argument):,} characters")
