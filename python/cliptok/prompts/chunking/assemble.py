"""Rows of a whole batch to arrays, all at once."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from cliptok.prompts.plan import Float32, Int32
from cliptok.prompts.token_rows import Row
from cliptok.prompts.tokens import PieceTokenizer


class Arrays:
    """The rows of many prompts, one after the other: ids, weights, pieces, words (rows, 77) and spans (rows, 2)."""

    ids: Int32
    weights: Float32
    pieces: Int32
    words: Int32
    spans: Int32

    def __init__(self, rows: list[Row], tokenizer: PieceTokenizer) -> None:
        count = len(rows)
        lengths = np.fromiter((len(row.ids) for row in rows), np.int64, count)
        places = np.arange(77)
        content = (places > 0) & (places <= lengths[:, None])
        total = int(lengths.sum())
        self.ids = np.full((count, 77), tokenizer.pad, np.int32)
        self.ids[:, 0] = tokenizer.begin
        self.ids[content] = np.fromiter(chain.from_iterable(row.ids for row in rows), np.int32, total)
        ends = lengths + 1
        if any(row.end_last for row in rows):
            ends = np.where([row.end_last for row in rows], 76, ends)
        self.ids[np.arange(count), ends] = tokenizer.end
        runs = list(chain.from_iterable(row.runs for row in rows))
        counts = np.fromiter((run.length for run in runs), np.int64, len(runs))

        def spread(values: list[float], dtype: type, rest: int) -> npt.NDArray[Any]:
            array: npt.NDArray[Any] = np.full((count, 77), rest, dtype)
            array[content] = np.repeat(np.array(values, np.float64), counts).astype(dtype)
            return array

        self.weights = spread([run.weight for run in runs], np.float32, 1)
        self.pieces = spread([run.piece for run in runs], np.int32, -1)
        self.words = spread([run.word for run in runs], np.int32, 0)
        self.spans = np.array([(row.first, row.stop) for row in rows], np.int32).reshape(-1, 2)
