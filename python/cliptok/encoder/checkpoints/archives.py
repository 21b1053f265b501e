"""Zip archives and pickles as torch writes them, checked before anything is reserved for what they say they hold."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from pathlib import Path

_MEMO = ("PUT", "BINPUT", "LONG_BINPUT")


def open_archive(path: Path) -> zipfile.ZipFile:
    """A zip file whose members are stored, and do not take more room together than the file has.

    So torch writes them, but for the source text of TorchScript, which is never read here. Raises ValueError that names
    the file for any other: a compressed member may grow a thousandfold.
    """
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
    if (whole := sum(member.file_size for member in members)) > size:
        archive.close()
        raise ValueError(f"{path} is damaged: its members take {whole:,} bytes, and the file has {size:,}")
    return archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes. Raises ValueError where it is missing or damaged."""
    try:
        return archive.read(name)
    except (KeyError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise ValueError(f"{archive.filename}: {name!r} is missing or damaged: {error}") from error


def checked_pickle(content: bytes) -> io.BytesIO:
    """A pickle whose numbers of bytes and of memo places are within its own length: Python reserves what they say.

    Raises UnpicklingError for any other.
    """
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name in _MEMO and not 0 <= int(argument or 0) <= len(content):
                raise ValueError(f"it has {len(content):,} bytes and wants place {argument}")
    except (ValueError, OverflowError, UnicodeError) as error:
        raise pickle.UnpicklingError(f"it is no whole pickle: {error}") from error
    return io.BytesIO(content)
