"""Millions of texts at a time: straight into one array, with padding or without."""

from typing import TYPE_CHECKING, Any, NamedTuple

from cliptok.tokenizer.calls.options import check_int
from cliptok.tokenizer.texts import as_batch, nulls_are_empty, threads_for
from cliptok.tokenizer.tokens.token_table import TokenTable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class PackedTokens(NamedTuple):
    """The ids of all texts without padding: text i has `input_ids[offsets[i]:offsets[i + 1]]`."""

    input_ids: "npt.NDArray[np.integer[Any]]"
    """(total,) of the dtype asked for."""
    offsets: "npt.NDArray[np.int64]"
    """(texts + 1,) int64."""


class TooLongError(RuntimeError, ValueError):
    """A text has more tokens than a row takes. A RuntimeError, as `clip.tokenize` raises."""


def encode_batch(
    tokens: TokenTable,
    texts: Any,
    max_length: int,
    dtype: Any,
    out: Any,
    threads: int | None,
    refuse_long: bool,
    on_null: str,
    pad_id: int,
    pad_left: bool,
    return_lengths: bool,
) -> tuple[Any, "npt.NDArray[Any] | None"]:
    """Ids (texts, max_length), which are `out` where there is one, and their lengths if they are wanted."""
    from cliptok.tokenizer.arrays import as_out, dtype_name

    batch = as_batch(texts)
    check_int("max_length", max_length, 2)
    name = dtype_name(dtype, tokens.id_bound)
    array = None if out is None else as_out(out, len(batch), max_length, tokens.id_bound)
    threads, null_as_empty = threads_for(batch, threads), nulls_are_empty(on_null)
    try:
        ids, lengths, _ = tokens.engine.rows(
            batch,
            max_length,
            pad_id,
            dtype=name,
            out=array,
            lengths=return_lengths,
            pad_left=pad_left,
            refuse_long=refuse_long,
            null_as_empty=null_as_empty,
            threads=threads,
        )
    except ValueError:
        if refuse_long:
            _refuse_long(tokens.engine.count(batch, null_as_empty=null_as_empty, threads=threads), max_length)
        raise
    return (ids if out is None else out), lengths


def encode_packed(
    tokens: TokenTable,
    texts: Any,
    max_length: int | None,
    dtype: Any,
    threads: int | None,
    refuse_long: bool,
    on_null: str,
) -> PackedTokens:
    """Ids of all texts joined, each truncated to `max_length` or refused."""
    from cliptok.tokenizer.arrays import dtype_name

    batch = as_batch(texts)
    threads = threads_for(batch, threads, whole=max_length is None)
    name = dtype_name(dtype, tokens.id_bound)
    null_as_empty = nulls_are_empty(on_null)
    if max_length is not None:
        check_int("max_length", max_length, 2)
    limit = None if refuse_long else max_length
    packed = PackedTokens(*tokens.engine.pack(batch, name, limit, null_as_empty=null_as_empty, threads=threads))
    if refuse_long and max_length is not None:
        _refuse_long(packed.offsets[1:] - packed.offsets[:-1], max_length)
    return packed


def _refuse_long(lengths: "npt.NDArray[Any]", max_length: int) -> None:
    rows = (lengths > max_length).nonzero()[0]
    if len(rows):
        raise TooLongError(
            f"texts[{rows[0]}] is too long: it has {lengths[rows[0]]} tokens, and max_length is {max_length};"
            " shorten it or pass truncate=True"
        )
