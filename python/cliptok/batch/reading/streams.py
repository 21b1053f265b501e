"""Input files as decompressed byte streams that know their position in the file."""

import lzma
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok._common.signatures import check_is_text
from cliptok.batch.reading.fingerprint import Fingerprint
from cliptok.batch.reading.inputs import STDIN, Shard
from cliptok.batch.reading.places import BEGIN, Place
from cliptok.batch.stores.reading_ahead import BlockFile

BYTE_ORDER_MARK = "\ufeff".encode()
_FIRST = 1 << 12


class Source(NamedTuple):
    """An open input file."""

    raw: BinaryIO
    """The file on the disk."""
    stream: Any
    """Its decompressed content, with a method `read`."""
    start: int | None
    """Bytes of the file before the stream's first; None where the stream's offsets are not those of the file."""

    def position(self) -> int:
        """Bytes of the file read so far; 0 for a pipe."""
        return self.raw.tell() if self.raw.seekable() else 0

    def place(self, row: int, offset: int, line: int) -> Place:
        """Where `row` can be read from: its offset in the stream, or the beginning of a compressed file or a pipe."""
        return Place(row, self.start + offset, line) if self.start is not None else BEGIN


@contextmanager
def opened(shard: Shard, offset: int = 0, fingerprint: Fingerprint | None = None) -> Iterator[Source]:
    """Open the input of a shard, decompressed while it is read; one that is not compressed, behind `offset` bytes.

    What is read is added to `fingerprint`.
    """
    with ExitStack() as stack:
        if str(shard.source) == STDIN:
            raw: BinaryIO = sys.stdin.buffer
        else:
            raw = stack.enter_context(shard.source.open("rb"))
            if isinstance(raw, BlockFile):
                raw.read_ahead(offset)
            if offset:
                raw.seek(offset)
        if fingerprint is not None:
            raw = cast("BinaryIO", fingerprint.watching(raw))
        stream: Any = raw
        if shard.compression == "xz":
            stream = stack.enter_context(lzma.open(raw))
        elif shard.compression:
            stream = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(raw, "r"), shard.compression))
        start = 0 if stream is raw and raw.seekable() else None
        yield Source(raw, stream if stream is raw else _Decompressed(stream, raw, str(shard.compression)), start)
        if fingerprint is not None:
            fingerprint.read_rest()


class _Decompressed:
    """A decompressed stream whose errors say about where in the file the damage is."""

    closed = False

    def __init__(self, stream: Any, raw: BinaryIO, compression: str) -> None:
        self._stream, self._raw, self._compression = stream, raw, compression

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end. Raises BadInputError for damage."""
        try:
            found: bytes = self._stream.read(size)
        except (pa.ArrowException, OSError, lzma.LZMAError, EOFError) as error:
            if isinstance(error, OSError) and error.strerror:
                raise
            where = f"before byte {self._raw.tell() + 1:,}" if self._raw.seekable() else "here"
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise BadInputError(f"the {self._compression} data is damaged {where}: {reason}") from error
        return found

    def close(self) -> None:
        """Nothing: whoever opened the stream closes it."""


@contextmanager
def opened_text(shard: Shard, offset: int = 0, fingerprint: Fingerprint | None = None) -> Iterator[Source]:
    """The same for a file of text, whose stream is `Prefixed` and has lost the byte order mark it may begin with.

    Raises BadInputError where the first bytes are those of a binary format.
    """
    with opened(shard, offset, fingerprint) as source:
        stream = Prefixed(source.stream)
        if offset:
            yield source._replace(stream=stream)
            return
        first = stream.peek(_FIRST)
        check_is_text(first)
        start = source.start
        if first.startswith(BYTE_ORDER_MARK):
            stream.read(len(BYTE_ORDER_MARK))
            start = None if start is None else len(BYTE_ORDER_MARK)
        yield source._replace(stream=stream, start=start)


class Prefixed:
    """A stream whose next bytes can be looked at before they are read. A file object as Arrow takes them."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream, self._prefix = stream, b""

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        while len(self._prefix) < size and (block := self._stream.read(size - len(self._prefix))):
            self._prefix += block
        return self._prefix[:size]

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        found, self._prefix = self._prefix[:size], self._prefix[size:]
        if len(found) < size:
            found += self._stream.read(size - len(found))
        return found

    def unread(self, content: bytes) -> None:
        """Give back what was read last: it is read again."""
        self._prefix = content + self._prefix

    def close(self) -> None:
        """Nothing: whoever opened the stream closes it."""
