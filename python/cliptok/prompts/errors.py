"""What is wrong with a prompt, and where: an error that points into the text, and warnings that do."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cliptok._common.errors import printable


def place(text: str, start: int) -> tuple[int, int]:
    """Line and column of a position, both counted from 1."""
    return next(places(text, [start]))


def places(text: str, starts: Iterable[int]) -> Iterator[tuple[int, int]]:
    """`place` of many positions, of which each takes no longer the longer the text is."""
    ends: list[int] | None = None
    for start in starts:
        if ends is None:
            ends = [found.start() for found in re.finditer("\n", text)]
        line = bisect_left(ends, start)
        yield line + 1, start - (ends[line - 1] + 1 if line else 0) + 1


class PromptError(ValueError):
    """A prompt that its dialect cannot read, or that would give no usable numbers.

    Has `message`, `remedy`, `dialect`, `row` (of the batch, from 0; None for a single text), `text`, `start` (a
    position in the text, or None), `line` and `column` (from 1).
    """

    def __init__(
        self,
        message: str,
        *,
        text: str = "",
        start: int | None = None,
        remedy: str = "",
        dialect: str = "",
        row: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.text, self.start, self.remedy = message, text, start, remedy
        self.dialect, self.row = dialect, row

    @property
    def line(self) -> int | None:
        """Of the text, from 1; None where the error has no place."""
        return None if self.start is None else place(self.text, self.start)[0]

    @property
    def column(self) -> int | None:
        """In its line, from 1; None where the error has no place."""
        return None if self.start is None else place(self.text, self.start)[1]

    def located(self, dialect: str, row: int | None, text: str | None = None) -> PromptError:
        """The same error with what the grammar does not know: the dialect's name and the row."""
        self.dialect, self.row = dialect, row
        if text is not None and not self.text:
            self.text = text
        return self

    def __str__(self) -> str:
        where = "" if self.row is None else f"prompt {self.row}"
        if self.start is not None:
            line, column = place(self.text, self.start)
            where = f"{where}{', ' if where else ''}{f'line {line}, ' if line > 1 else ''}column {column}"
        head = ": ".join(part for part in (self.dialect, where) if part)
        parts = [f"{head}: {self.message}" if head else self.message]
        if self.start is not None and self.text:
            parts.append(_excerpt(self.text, self.start))
        return printable("".join(parts) + (f"; {self.remedy}" if self.remedy else ""))


def _excerpt(text: str, start: int, around: int = 20) -> str:
    """The text around a position on one line, with a mark at the position."""
    begin, stop = max(start - around, 0), min(start + around, len(text))
    before, after = text[begin:start], text[start:stop]
    shown = f"{'…' if begin else ''}{before}→{after}{'…' if stop < len(text) else ''}"
    return f' in "{shown}"'


class PromptWarning(NamedTuple):
    """Something that a dialect does to a prompt which its author may not expect."""

    row: int
    """Of the batch, from 0."""
    line: int
    """Of the prompt, from 1."""
    column: int
    """In its line, from 1."""
    kind: str
    """A word for what it is about, the same in every version."""
    message: str
    """What happens, and how to write what was meant."""

    def __str__(self) -> str:
        return f"prompt {self.row}, line {self.line}, column {self.column}: {self.message}"
