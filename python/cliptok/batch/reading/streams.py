"""Input files as decompressed byte streams that know their position in the file."""

import lzma
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from cliptok.batch.reading.inputs import STDIN, Shard


class Source(NamedTuple):
    """An open input file."""

    raw: BinaryIO
    """The file on the disk."""
    stream: Any
    """Its decompressed content, with a method `read`."""

    def position(self) -> int:
        """Bytes of the file read so far; 0 for a pipe."""
        return self.raw.tell() if self.raw.seekable() else 0


@contextmanager
def opened(shard: Shard) -> Iterator[Source]:
    """Open the input of a shard, decompressed while it is read."""
    if str(shard.source) == STDIN:
        yield Source(sys.stdin.buffer, sys.stdin.buffer)
        return
    with ExitStack() as stack:
        raw = stack.enter_context(shard.source.open("rb"))
        stream: Any = raw
        if shard.compression == "xz":
            stream = stack.enter_context(lzma.open(raw))
        elif shard.compression:
            stream = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(raw, "r"), shard.compression))
        yield Source(raw, stream)
