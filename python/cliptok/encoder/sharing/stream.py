"""Texts in, sorted windows of tokens out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cliptok.encoder.placeholders import expand_placeholders, has_placeholders
from cliptok.encoder.sharing.plan import Window


def is_lazy(texts: Any) -> bool:
    """Whether `texts` is an iterable that may be larger than memory, rather than a column or a sequence.

    Raises TypeError for what holds no texts at all.
    """
    if isinstance(texts, str) or hasattr(texts, "__arrow_c_stream__") or hasattr(texts, "__arrow_c_array__"):
        return False
    if hasattr(texts, "input_ids") and hasattr(texts, "offsets"):
        return False
    if isinstance(texts, bytes | Mapping) or not isinstance(texts, Iterable):
        raise TypeError(
            f"texts is {type(texts).__name__}; expected str, a sequence or an iterable of str, an Arrow column or "
            "packed tokens"
        )
    return not (hasattr(texts, "__len__") and hasattr(texts, "__getitem__"))


def slices(texts: Any, size: int) -> Iterator[Any]:
    """Consecutive slices of at most `size` texts, without a copy where the type can slice."""
    if is_lazy(texts):
        iterator = iter(texts)
        while part := list(itertools.islice(iterator, size)):
            yield part
    elif hasattr(texts, "__len__") and hasattr(texts, "__getitem__"):
        rows = texts.iloc if hasattr(texts, "iloc") else texts
        try:
            rows[0:0]
        except TypeError:  # a sequence that cannot be sliced, such as a deque
            rows = list(texts)
        for start in range(0, len(texts), size):
            yield rows[start : start + size]
    else:
        yield texts  # an Arrow object that can only be handed over whole


def tokenize(texts: Any, tokenizer: Any, positions: int, first_row: int) -> tuple[Any, Any]:
    """Packed ids and offsets; texts longer than `positions` are truncated as the tokenizer's profile does it."""
    if has_placeholders(tokenizer):
        texts = expand_placeholders(tokenizer, texts.to_pylist() if hasattr(texts, "to_pylist") else texts)
    try:
        packed = tokenizer.encode_packed(texts, max_length=positions, dtype="int32")
    except (TypeError, ValueError) as error:
        # It counts rows from the beginning of this slice.
        row = re.match(r"texts\[(\d+)\]", str(error))
        if row is None or first_row == 0:
            raise
        raise type(error)(f"texts[{first_row + int(row[1])}]{str(error)[row.end() :]}") from None
    return packed.input_ids, packed.offsets


def token_windows(
    texts: Any, tokenizer: Any, size: int, positions: int
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64], int]]:
    """Ids, offsets and the number of the first row of at most `size` texts at a time, in input order.

    `texts` may also be packed tokens. Text i is `ids[offsets[i]:offsets[i + 1]]`; offsets need not begin at 0.
    """
    first_row = 0
    packed = hasattr(texts, "input_ids") and hasattr(texts, "offsets")
    for rows in [texts] if packed else slices(texts, size):
        ids, offsets = (rows.input_ids, rows.offsets) if packed else tokenize(rows, tokenizer, positions, first_row)
        ids, offsets = np.asarray(ids), np.ascontiguousarray(offsets, dtype=np.int64)
        for start in range(0, len(offsets) - 1, size):
            yield ids, offsets[start : start + size + 1], first_row + start
        first_row += len(offsets) - 1


def windows(texts: Any, tokenizer: Any, size: int, end_id: int, positions: int, vocabulary: int) -> Iterator[Window]:
    """Sorted windows of at most `size` texts, in input order; `texts` may also be packed tokens.

    Texts are truncated behind their first `end_id`, where they are pooled: causal attention never looks further.
    """
    for ids, offsets, first_row in token_windows(texts, tokenizer, size, positions):
        yield Window(as_int32(ids), offsets, end_id, positions, vocabulary, first_row)


def truncate_at_end(
    ids: npt.NDArray[Any], offsets: npt.NDArray[np.int64], end_id: int, positions: int, first_row: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Texts truncated behind their first `end_id`, where they are pooled: causal attention never looks further.

    `offsets` then begin at 0. Raises ValueError for a text without one, for one with more than `positions` ids up to
    it, and for offsets that do not ascend within the ids.
    """
    if offsets[0] < 0 or offsets[-1] > len(ids) or (np.diff(offsets) < 0).any():
        raise ValueError(f"offsets must ascend from 0 to at most {len(ids)}, the number of ids")
    ids, offsets = ids[offsets[0] : offsets[-1]], offsets - offsets[0]
    is_end = np.flatnonzero(ids == end_id)
    at = np.searchsorted(is_end, offsets[:-1])
    end = np.append(is_end, len(ids))[at]
    if (bad := end >= offsets[1:]).any():
        row = first_row + int(bad.argmax())
        raise ValueError(
            f"texts row {row} has no end-of-text id ({end_id}) among its ids; "
            "the tokenizer must add special tokens and be the encoder's own"
        )
    lengths = end + 1 - offsets[:-1]
    if len(lengths) and lengths.max() > positions:
        row = first_row + int(lengths.argmax())
        raise ValueError(f"texts row {row} has {lengths.max()} ids but the encoder has {positions} positions")
    if (end + 1 == offsets[1:]).all():
        return ids, offsets
    keep = np.arange(len(ids)) < np.repeat(end + 1, np.diff(offsets))
    return ids[keep], np.concatenate([[0], np.cumsum(lengths)])


def as_int32(ids: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Ids of any integer dtype in the engine's; what it cannot hold is outside every vocabulary anyway."""
    if ids.dtype.kind not in "iu":
        raise TypeError(f"texts has input_ids of {ids.dtype}; expected integers")
    limits = np.iinfo(np.int32)
    return np.ascontiguousarray(ids if ids.dtype == np.int32 else ids.clip(-1, limits.max).astype(np.int32))
