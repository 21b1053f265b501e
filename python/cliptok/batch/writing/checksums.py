"""The SHA-256 of an output, kept in the record inside it: of the file with PLACEHOLDER in the digest's place."""

import hashlib
import io
from typing import BinaryIO

from cliptok.batch.stores.paths import AnyPath
from cliptok.batch.writing.arrow_output import footer
from cliptok.batch.writing.tar_output import comment

PLACEHOLDER = "~" * 64
_BLOCK = 1 << 22


def seal(file: BinaryIO, format: str) -> str:
    """Write the digest of a complete output into its record, and return it.

    `file` is open for reading too. A .npy file has no record, so its digest is of all its bytes and belongs elsewhere.
    """
    file.flush()
    digest = _digest(file, {})
    if format != "npy":
        at = _find(file, format, PLACEHOLDER)
        assert at is not None  # The record was written with it.
        file.seek(at)
        file.write(digest.encode())
    file.seek(0, io.SEEK_END)
    return digest


def is_intact(path: AnyPath, digest: str) -> bool:
    """Whether the output has the content whose digest its record holds. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        if path.suffix == ".npy":
            return _digest(file, {}) == digest
        at = _find(file, path.suffix[1:], digest)
        return at is not None and _digest(file, {at: PLACEHOLDER.encode()}) == digest


def _digest(file: BinaryIO, patches: dict[int, bytes]) -> str:
    """The SHA-256 of all bytes, with others in some places."""
    found = hashlib.sha256()
    file.seek(0)
    at = 0
    while block := file.read(_BLOCK):
        for start, patch in patches.items():
            begin, end = max(start, at), min(start + len(patch), at + len(block))
            if begin < end:
                block = block[: begin - at] + patch[begin - start : end - start] + block[end - at :]
        found.update(block)
        at += len(block)
    return found.hexdigest()


def _find(file: BinaryIO, format: str, text: str) -> int | None:
    """Where `text` stands in the footer or header of a file, beside its values."""
    size = file.seek(0, io.SEEK_END)
    if format == "parquet":
        file.seek(max(size - 8, 0))
        length = int.from_bytes(file.read(4), "little")
        start = size - 8 - length
    elif format == "arrow":
        start, length = footer(file, size)
    elif format == "tar":
        start, length = comment(file)
    else:
        file.seek(0)
        start, length = 8, int.from_bytes(file.read(8), "little")
    if start < 0 or start + length > size:
        return None
    file.seek(start)
    at = file.read(length).rfind(text.encode())
    return None if at < 0 else start + at
