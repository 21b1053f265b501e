"""The bytes of an input file, unpacked, and how many of them have been read."""

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
    """The file as it is on the disk."""
    stream: Any
    """What is in it, with a method `read`."""

    def position(self) -> int:
        """The bytes of the file that have been read; 0 for a pipe."""
        return self.raw.tell() if self.raw.seekable() else 0


@contextmanager
def opened(shard: Shard) -> Iterator[Source]:
    """The input of a shard, open and unpacked on the way."""
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
