"""Rows of a whole batch to arrays, all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cliptok.prompts.chunking.tokenized import Segments
from cliptok.prompts.plan import Float32, Int32
from cliptok.prompts.tokens import PieceTokenizer


class RowTable:
    """The rows of many texts, one after the other, in columns: which ids each holds, and what is said about it."""

    def __init__(self) -> None:
        self.start: list[int] = []
        self.stop: list[int] = []
        self.note: list[str] = []
        self.span: list[tuple[int, int]] = []
        self.end_last: list[bool] = []

    def add(
        self, start: int, stop: int, note: str = "", span: tuple[int, int] = (0, 77), end_last: bool = False
    ) -> None:
        self.start.append(start)
        self.stop.append(stop)
        self.note.append(note)
        self.span.append(span)
        self.end_last.append(end_last)

    def __len__(self) -> int:
        return len(self.start)


class Arrays:
    """All rows: ids, weights, pieces, words (rows, 77) and spans (rows, 2)."""

    ids: Int32
    weights: Float32
    pieces: Int32
    words: Int32
    spans: Int32

    def __init__(self, rows: RowTable, segments: Segments, tokenizer: PieceTokenizer) -> None:
        count = len(rows)
        starts = np.array(rows.start, np.int64)
        lengths = np.array(rows.stop, np.int64) - starts
        places = np.arange(77)
        content = (places > 0) & (places <= lengths[:, None])
        before = np.cumsum(lengths) - lengths
        which = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
        self.ids = np.full((count, 77), tokenizer.pad, np.int32)
        self.ids[:, 0] = tokenizer.begin
        self.ids[content] = segments.ids[which]
        ends = lengths + 1
        if any(rows.end_last):
            ends = np.where(rows.end_last, 76, ends)
        self.ids[np.arange(count), ends] = tokenizer.end
        owner = np.repeat(np.arange(len(segments.lengths)), segments.lengths)[which]

        def spread(values: npt.NDArray[Any], dtype: type, rest: int) -> npt.NDArray[Any]:
            array: npt.NDArray[Any] = np.full((count, 77), rest, dtype)
            array[content] = values.astype(dtype)[owner]
            return array

        self.weights = spread(segments.weights, np.float32, 1)
        self.pieces = spread(segments.pieces, np.int32, -1)
        self.words = spread(segments.words, np.int32, 0)
        self.spans = np.array(rows.span, np.int32).reshape(-1, 2)
