"""What a rule for chunks takes and gives: tokens of pieces in, rows of at most 75 ids out."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

PLACES = 75
"""Ids in a chunk between its begin and its end."""


class Tokens(NamedTuple):
    """The ids of one piece."""

    ids: list[int]
    weight: float
    piece: int
    """Its number in the prompt, -1 for what no piece asked for."""
    word: int = 0
    """Its number among the groups that are weighted together, from 1."""
    breaks: bool = False
    inversion: str | None = None
    """The textual inversion whose vectors these are, one for each id."""


class Run(NamedTuple):
    """Consecutive ids of a row that come from one piece."""

    length: int
    weight: float
    piece: int
    word: int


class Fix(NamedTuple):
    """Vectors of a textual inversion in a chunk: `vectors`, from number `first`, at `position` of the 77."""

    position: int
    name: str
    first: int
    vectors: int


@dataclasses.dataclass
class Row:
    """The content of one chunk, without begin, end and padding."""

    ids: list[int] = dataclasses.field(default_factory=list)
    runs: list[Run] = dataclasses.field(default_factory=list)
    fixes: list[Fix] = dataclasses.field(default_factory=list)
    first: int = 0
    stop: int = 77
    """Positions `first` to `stop` take part in the result."""
    end_last: bool = False
    """The end stands at position 76, after the padding."""
    note: str = ""
    """Why the next chunk begins: "full", "break", "comma", "word", "sentence", "phrase"."""

    def add(self, tokens: Tokens, start: int, stop: int) -> None:
        """Append ids `start` to `stop` of a piece."""
        if stop <= start:
            return
        if tokens.inversion is not None:
            self.fixes.append(Fix(len(self.ids) + 1, tokens.inversion, start, stop - start))
        self.ids += tokens.ids[start:stop]
        self.runs.append(Run(stop - start, tokens.weight, tokens.piece, tokens.word))


class Masked(NamedTuple):
    """A stretch of the joined chunks that compel encodes once more without, and the weight below 1 that asks for it."""

    first: int
    last: int
    weight: float


@dataclasses.dataclass
class Chunked:
    """The rows of one text, and what was decided on the way."""

    rows: list[Row]
    dropped: int = 0
    """Tokens that found no place."""
    masks: list[Masked] = dataclasses.field(default_factory=list)
    without: list[tuple[float, list[Row]]] = dataclasses.field(default_factory=list)
    """compel's REMOVE: the rows without one fragment, and its weight."""
    count: int = 0
    """Tokens, counted as the tool shows them."""


def fill(pieces: list[Tokens], limit: int | None = None) -> list[Row]:
    """Rows cut after every 75 ids; at most `limit` of them."""
    rows = [Row()]
    for tokens in pieces:
        if tokens.breaks and len(rows) != limit:
            rows[-1].note = "break"
            rows.append(Row())
            continue
        at = 0
        while at < len(tokens.ids):
            if len(rows[-1].ids) == PLACES:
                if limit is not None and len(rows) == limit:
                    return rows
                rows[-1].note = "full"
                rows.append(Row())
            stop = min(len(tokens.ids), at + PLACES - len(rows[-1].ids))
            rows[-1].add(tokens, at, stop)
            at = stop
    return rows
