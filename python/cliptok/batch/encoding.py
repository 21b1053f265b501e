"""Columns of ids to columns of embeddings, by the text encoder."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cliptok.batch.list_arrays import BFLOAT16, as_array, as_lists, as_numpy
from cliptok.batch.tokenizing import Tokenizing
from cliptok.tokenizer.bulk import PackedTokens
from cliptok.tokenizer.calls.options import check_int, one_of
from cliptok.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from cliptok.encoder import EmbeddingCache, TextEncoder

OUTPUTS = ("text_embeds", "pooler_output", "hidden")
_HIDDEN_ROWS = 64
_WINDOW = 1 << 14
"""Texts that the encoder sorts together."""


class Encoding(NamedTuple):
    """An encoder and which of its outputs a job writes."""

    encoder: TextEncoder
    output: str
    normalize: bool = False
    batch_size: int | None = None
    """Texts computed together at most; None for the encoder's own choice."""
    cache: EmbeddingCache | None = None
    """Where embeddings are kept."""
    keeps_bfloat16: bool = False
    """The outputs can hold bfloat16; others hold the same values as float32."""

    def part_rows(self, device: str) -> int:
        """Rows that are committed together by default: about a minute of work, and whole windows of the encoder."""
        if self.output == "hidden":
            return 2048
        return _WINDOW * 4 if device.startswith("cuda") else _WINDOW

    @property
    def name(self) -> str:
        """The name of the output column."""
        return "last_hidden_state" if self.output == "hidden" else self.output

    def tables(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The rows of `tables` with embeddings in place of the ids in the first column. At least one table comes.

        They are float16 where the encoder is, else float32: (n, width) in lists of fixed size, for `hidden` (n,
        max_length, width) in lists of such lists.
        """
        waiting: deque[pa.Table] = deque()
        rest: list[pa.Table] = []
        states = self._hidden(tables, waiting) if self.output == "hidden" else self._pooled(tables, waiting)
        for block in states:
            while waiting:
                rest.append(waiting.popleft())
            joined = pa.concat_tables(rest)
            yield joined.slice(0, len(block)).set_column(0, *self._column(block))
            rest = [joined.slice(len(block))]
        if not rest:  # No text at all.
            empty = waiting.popleft()
            yield empty.set_column(0, *self._column(np.empty((0, *self._shape(empty)), self._dtype)))

    def _pooled(self, tables: Iterator[pa.Table], waiting: deque[pa.Table]) -> Iterator[npt.NDArray[Any]]:
        """Embeddings (m, width), block by block. The windows that the encoder sorts span tables."""

        def texts() -> Iterator[npt.NDArray[Any]]:
            for table in tables:
                waiting.append(table)
                for chunk in table.column(0).chunks:
                    offsets, ids = as_numpy(chunk.offsets), as_numpy(chunk.values)
                    yield from (ids[begin:end] for begin, end in pairwise(offsets.tolist()))

        rows: Any = texts()
        budget = None if self.batch_size is None else self.batch_size * self.encoder.config.positions
        options: dict[str, Any] = {"output": self.output, "normalize": self.normalize, "budget": budget}
        options["cache"] = self.cache
        for block in self.encoder.encode(rows, _Pretokenized(), **options):
            yield self._as_numpy(block)

    def _hidden(self, tables: Iterator[pa.Table], waiting: deque[pa.Table]) -> Iterator[npt.NDArray[Any]]:
        """Hidden states (m, max_length, width), padded and without a mask, as a diffusion model takes them."""
        import torch

        with torch.inference_mode():
            for table in tables:
                waiting.append(table)
                ids = torch.from_numpy(as_array(table.column(0)).astype(np.int64))
                size = self.batch_size or _HIDDEN_ROWS
                for begin in range(0, len(ids), size):
                    rows = ids[begin : begin + size].to(self.encoder.device)
                    state = self.encoder(rows).last_hidden_state
                    yield self._as_numpy(state)

    def _shape(self, ids: pa.Table) -> tuple[int, ...]:
        config = self.encoder.config
        if self.output == "hidden":
            return (ids.column(0).type.list_size, config.width)
        return (config.width if self.output == "pooler_output" else config.projection or config.width,)

    @property
    def _dtype(self) -> str:
        return dtype_of_values(self.encoder.dtype, self.keeps_bfloat16)

    def _column(self, values: npt.NDArray[Any]) -> tuple[pa.Field, pa.Array]:
        return as_field(self.name, as_lists(values))

    def _as_numpy(self, block: Tensor) -> npt.NDArray[Any]:
        return as_values(block, self.keeps_bfloat16)


def dtype_of_values(dtype: Any, keeps_bfloat16: bool) -> str:
    """NumPy's dtype for values of one of torch's: uint16 stands for bfloat16."""
    if str(dtype) == "torch.bfloat16" and keeps_bfloat16:
        return "uint16"
    return "float16" if str(dtype) == "torch.float16" else "float32"


def as_values(block: Tensor, keeps_bfloat16: bool) -> npt.NDArray[Any]:
    """A tensor as NumPy's array of that dtype."""
    kind = dtype_of_values(block.dtype, keeps_bfloat16)
    if kind == "uint16":
        import torch

        block = block.contiguous().view(torch.int16)
    elif kind == "float32":
        block = block.float()
    found: npt.NDArray[Any] = block.cpu().numpy()
    return found.view(kind)


def as_field(name: str, column: pa.Array) -> tuple[pa.Field, pa.Array]:
    """A column of values with its field, which says where they are bfloat16."""
    kind = column.type
    while hasattr(kind, "value_type"):
        kind = kind.value_type
    return pa.field(name, column.type, metadata=BFLOAT16 if kind == pa.uint16() else None), column


class _Pretokenized:
    """Stands in for the tokenizer where texts are arrays of ids already: it concatenates them."""

    def encode_packed(self, texts: list[npt.NDArray[Any]], max_length: int, dtype: str) -> PackedTokens:
        offsets = np.zeros(len(texts) + 1, np.int64)
        offsets[1:] = np.cumsum([len(ids) for ids in texts])
        return PackedTokens(np.concatenate(texts).astype(dtype, copy=False), offsets)


def plan(
    encoder: TextEncoder,
    output: str | None,
    normalize: bool,
    tokenizer: Tokenizer,
    max_length: int | None,
    batch_size: int | None = None,
    cache: EmbeddingCache | None = None,
) -> tuple[Encoding, Tokenizing]:
    """The stages for texts to ids and ids to embeddings. Raises ValueError for what the encoder does not have."""
    output = output or ("pooler_output" if encoder.text_projection is None else "text_embeds")
    one_of("output", output, OUTPUTS)
    if output == "text_embeds" and encoder.text_projection is None:
        raise ValueError("this encoder has no projection, so no text_embeds; output may be pooler_output or hidden")
    if output == "hidden" and normalize:
        raise ValueError("normalize is for embeddings, and output 'hidden' gives states")
    if output == "hidden" and cache is not None:
        raise ValueError("cache is for embeddings, and output 'hidden' gives states")
    positions = encoder.config.positions
    if max_length is None:
        max_length = positions
    check_int("max_length", max_length, 2)
    if max_length > positions:
        raise ValueError(f"max_length is {max_length}, but the encoder has {positions} positions")
    lists = "fixed" if output == "hidden" else "variable"
    encoding = Encoding(encoder, output, normalize, batch_size, cache)
    return encoding, Tokenizing(tokenizer, max_length, "int32", lists)
