"""Strict quotes in CSV: a quote that is never closed is refused, where Arrow's parser would read on to the end.

A quote opens a quoted field where a field begins, and is an ordinary character elsewhere. Inside, two quotes are one; a
single one closes the field, and the delimiter or the end of the line must follow.
"""

import re
from typing import Any

import numpy as np

from cliptok._common.errors import BadInputError

_QUOTE, _LINE_FEED = b'"'[0], b"\n"[0]
_INSIDE = re.compile(rb'[^"]*(?:""[^"]*)*')
_REMEDY = "quotes=False, --no-quotes"


class StrictQuotes:
    """A stream of CSV whose quotes are checked while it is read. `read` raises BadInputError that names the line."""

    closed = False

    def __init__(self, stream: Any, delimiter: str) -> None:
        self._stream = stream
        self._ends = b'\n\r"' + delimiter.encode()
        self._begin = re.compile(rb"(?<=[\n\r" + re.escape(delimiter.encode()) + rb'])"')
        self._held: bytes = b""  # Quotes at the end of a block: what they mean shows in the next one.
        self._ready: bytes = b""
        self._before = _LINE_FEED
        self._lines = 1
        self._opened_at: int | None = None
        """The line where the quote opened that is open at the end of what has been read."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes, checked; none at the end."""
        if not self._ready:
            self._ready = self._next(size)
        found, self._ready = self._ready[:size], self._ready[size:]
        return found

    def _next(self, size: int) -> bytes:
        data: bytes
        while block := self._stream.read(size):
            data = self._held + block
            kept = len(data.rstrip(b'"'))
            data, self._held = data[:kept], data[kept:]
            if data:
                self._check(data)
                return data
        data, self._held = self._held, b""
        if data:
            self._check(data)
        elif self._opened_at is not None:
            raise BadInputError(
                f"line {self._opened_at}: the quote that opens a field here is never closed; close it, or read quotes"
                f" as text ({_REMEDY})"
            )
        return data

    def close(self) -> None:
        """Nothing: whoever opened the stream closes it."""

    def _check(self, data: bytes) -> None:
        if b'"' in data and not self._alternate(data):
            self._scan(data)
        self._lines += data.count(b"\n")
        self._before = data[-1]

    def _alternate(self, data: bytes) -> bool:
        """Whether every second quote opens a field, or doubles the one before, and the others close one.

        Then, as in nearly all files, a few passes of NumPy have checked the block.
        """
        block = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(block == _QUOTE)
        ends = np.frombuffer(self._ends, np.uint8)
        is_inside = self._opened_at is not None
        opening, closing = quotes[int(is_inside) :: 2], quotes[1 - int(is_inside) :: 2]
        before = np.concatenate(([self._before], block[:-1]))[opening]
        after = np.concatenate((block[1:], [_LINE_FEED]))[closing]
        if not (np.isin(before, ends).all() and np.isin(after, ends).all()):
            return False
        if (len(quotes) + is_inside) % 2 == 0:
            self._opened_at = None
        elif len(begins := opening[before != _QUOTE]):
            self._opened_at = self._line_of(data, int(begins[-1]))
        return True

    def _scan(self, data: bytes) -> None:
        """The same, field by field."""
        at = 0
        start: int | None = None  # Of the field that is open; none if it began in an earlier block.
        is_inside = self._opened_at is not None
        while True:
            if not is_inside:
                if at == 0 and data[0] == _QUOTE and self._before in self._ends:
                    start = 0
                else:
                    found = self._begin.search(data, at)
                    if found is None:
                        self._opened_at = None
                        return
                    start = found.start()
                at = start + 1
            inside = _INSIDE.match(data, at)
            assert inside is not None  # It matches nothing too.
            at = inside.end() + 1
            if at <= len(data) and (at == len(data) or data[at] in self._ends):
                is_inside = False
                continue
            if start is not None:
                self._opened_at = self._line_of(data, start)
            if at > len(data):
                return
            raise BadInputError(
                f"line {self._line_of(data, at)}: text follows the quote that closes the field opened in line"
                f" {self._opened_at}; double quotes inside quoted fields, or read quotes as text ({_REMEDY})"
            )

    def _line_of(self, data: bytes, at: int) -> int:
        return self._lines + data.count(b"\n", 0, at)
