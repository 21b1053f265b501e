"""Texts to a column of ids."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cliptok.batch.list_arrays import as_column, as_lists
from cliptok.batch.summary import Counts

NAME = "input_ids"
LISTS = ("variable", "fixed")


class Tokenizing(NamedTuple):
    """The tokenizer and its arguments for a job."""

    tokenizer: Any
    max_length: int = 77
    dtype: str = "int32"
    lists: str = "variable"
    """`variable` lists have no padding, `fixed` ones are padded to `max_length`."""
    threads: int | None = None

    def table(self, table: pa.Table, counts: Counts) -> pa.Table:
        """`table` with ids in place of the texts in the first column."""
        return table.set_column(0, NAME, self.column(table.column(0), counts))

    def column(self, texts: Any, counts: Counts | None = None) -> pa.Array:
        """The ids of an Arrow column of strings, as lists. Long texts are truncated; `counts` is updated."""
        if self.lists == "variable":
            ids, offsets = self.tokenizer.encode_packed(
                texts, self.max_length, self.dtype, threads=self.threads, truncate=True
            )
            lengths = np.diff(offsets)
            column = pa.ListArray.from_arrays(as_column(offsets.astype(np.int32)), as_column(ids))
        else:
            rows, lengths = self.tokenizer.encode_batch(
                texts, self.max_length, self.dtype, return_lengths=True, threads=self.threads, truncate=True
            )
            column = as_lists(rows)
        if counts is not None:
            counts.tokens += int(lengths.sum())
            counts.truncated += self._truncated(texts, lengths)
        return column

    def _truncated(self, texts: Any, lengths: npt.NDArray[Any]) -> int:
        # Only a text that fills its row can have been truncated.
        full = np.flatnonzero(lengths == self.max_length)
        if not len(full):
            return 0
        return int((self.tokenizer.count(texts.take(as_column(full))) > self.max_length).sum())
