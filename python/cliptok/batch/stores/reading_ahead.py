"""An object as a file that is read in blocks, several at once where it is read from front to back."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

BLOCK = 1 << 23
"""Bytes of a request. Some servers take 40 ms for any, whatever its size."""
TAIL = 1 << 16
"""Bytes of the first one where a file is read from its end: its footer."""
_AHEAD = 4
_KEPT = 14
"""A row group of 64 MiB, read for its fingerprint and then for its rows, and what lies ahead."""


class BlockFile(io.RawIOBase):
    """A file of `size` bytes, of which `fetch(begin, end)` gives some. Raises what `fetch` raises."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes], close: Callable[[], None] = lambda: None) -> None:
        self._size, self._fetch, self._release = size, fetch, close
        self._at = 0
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._front = -2
        self._tail: bytes | None = None
        self._pool = ThreadPoolExecutor(_AHEAD, thread_name_prefix="cliptok-store")

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As any file's."""
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        """As any file's."""
        return self._at

    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    def read(self, size: int | None = -1) -> bytes:
        """`size` bytes, fewer only at the end."""
        end = self._size if size is None or size < 0 else min(self._at + size, self._size)
        pieces = []
        while self._at < end:
            if self._at >= self._size - TAIL and (found := self._in_tail(end)) is not None:
                pieces.append(found)
                self._at = end
                break
            number, begin = divmod(self._at, BLOCK)
            piece = self._block(number)[begin : begin + end - self._at]
            pieces.append(piece)
            self._at += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, less only at the end."""
        view = memoryview(buffer).cast("B")
        found = self.read(len(view))
        view[: len(found)] = found
        return len(found)

    def read_ahead(self, begin: int = 0) -> None:
        """Fetch what is there: it is going to be read, though maybe after the end of the file."""
        self._front = begin // BLOCK - 1
        self._request(self._front + 1, self._front + 1 + _AHEAD)

    def _in_tail(self, end: int) -> bytes | None:
        """The bytes up to `end`, which begin in the tail; None where they are in a block."""
        if self._size <= BLOCK or (self._size - 1) // BLOCK in self._blocks:
            return None
        if self._tail is None:
            self._tail = self._checked(self._size - TAIL, self._size)
        return self._tail[self._at - self._size : end - self._size or None]

    def _request(self, first: int, stop: int) -> None:
        for number in range(first, stop):
            if number * BLOCK < self._size and number not in self._blocks:
                begin = number * BLOCK
                self._blocks[number] = self._pool.submit(self._checked, begin, min(begin + BLOCK, self._size))

    def _block(self, number: int) -> bytes:
        # Whoever looks back at what is still here goes on in front later.
        is_sequence = number in (self._front, self._front + 1)
        if is_sequence or number not in self._blocks:
            self._front = number
        self._request(number, number + 1 + _AHEAD * is_sequence)
        self._blocks.move_to_end(number)
        while len(self._blocks) > _KEPT:  # What lies ahead was touched before what is looked back at, and stays.
            ahead = range(self._front, self._front + 1 + _AHEAD)
            self._blocks.pop(next(each for each in self._blocks if each != number and each not in ahead)).cancel()
        try:
            return self._blocks[number].result()
        except BaseException:
            del self._blocks[number]
            raise

    def _checked(self, begin: int, end: int) -> bytes:
        found = self._fetch(begin, end)
        if len(found) != end - begin:
            raise OSError(f"{len(found):,} bytes came where {end - begin:,} were asked for")
        return found

    def close(self) -> None:
        """Let go of the object."""
        if not self.closed:
            self._pool.shutdown(cancel_futures=True)
            self._blocks.clear()
            self._release()
        super().close()
