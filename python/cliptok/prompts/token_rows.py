"""What a rule for chunks takes and gives: a text in ids, and the rows of at most 75 ids that it is cut into."""

from __future__ import annotations

import dataclasses
from itertools import accumulate
from typing import NamedTuple

PLACES = 75
"""Ids in a chunk between its begin and its end."""


class Segment(NamedTuple):
    """Consecutive ids of a text that come from one piece."""

    length: int
    weight: float
    piece: int
    """Its number in the prompt."""
    word: int
    """Its number among the groups that are weighted together, from 1."""
    inversion: str | None = None
    """The textual inversion whose vectors these are, one for each id."""


class TokenText(NamedTuple):
    """One text in ids. `breaks` are the numbers of segments that are empty and end a chunk."""

    ids: list[int]
    segments: list[Segment]
    breaks: set[int]

    def starts(self) -> list[int]:
        """Where each segment begins, and where the last one ends."""
        return [0, *accumulate(segment.length for segment in self.segments)]


class Fix(NamedTuple):
    """Vectors of a textual inversion in a chunk: `vectors`, from number `first`, at `position` of the 77."""

    position: int
    name: str
    first: int
    vectors: int


@dataclasses.dataclass(slots=True)
class Row:
    """One chunk: ids `start` to `stop` of its text, between begin and end."""

    start: int
    stop: int
    note: str = ""
    """Why the next chunk begins: "full", "break", "comma", "word", "sentence", "phrase"."""
    span: tuple[int, int] = (0, 77)
    """The positions that take part in the result, from and to."""
    end_last: bool = False
    """The end stands at position 76, after the padding."""
    fixes: list[Fix] = dataclasses.field(default_factory=list)


class Masked(NamedTuple):
    """A stretch of the joined chunks that compel encodes once more without, and the weight below 1 that asks for it."""

    first: int
    last: int
    weight: float


@dataclasses.dataclass(slots=True)
class Chunked:
    """The rows of one text, and what was decided on the way."""

    rows: list[Row]
    dropped: int = 0
    """Tokens that found no place."""
    masks: list[Masked] = dataclasses.field(default_factory=list)
    without: list[tuple[float, TokenText, list[Row]]] = dataclasses.field(default_factory=list)
    """compel's REMOVE: the text without one fragment and its rows, and the fragment's weight."""
    count: int = 0
    """Tokens, counted as the tool shows them."""


def cut(text: TokenText, limit: int | None = None) -> list[Row]:
    """Rows of 75 ids, and where a chunk ends; at most `limit` of them."""
    rows = [Row(0, 0)]
    stops = text.starts()
    for number in [*sorted(text.breaks), None]:
        stop = stops[-1] if number is None else stops[number]
        while rows[-1].start + PLACES < stop:
            rows[-1].stop = rows[-1].start + PLACES
            if len(rows) == limit:
                return rows
            rows[-1].note = "full"
            rows.append(Row(rows[-1].stop, 0))
        rows[-1].stop = stop
        if number is not None and len(rows) != limit:
            rows[-1].note = "break"
            rows.append(Row(stop, stop))
    return rows
