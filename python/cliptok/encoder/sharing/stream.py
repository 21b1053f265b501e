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


def windows(texts: Any, tokenizer: Any, size: int, end_id: int, positions: int, vocabulary: int) -> Iterator[Window]:
    """Sorted windows of at most `size` texts, in input order; `texts` may also be packed tokens.

    Texts are truncated behind their first `end_id`, where they are pooled: causal attention never looks further.
    """
    first_row = 0
    packed = hasattr(texts, "input_ids") and hasattr(texts, "offsets")
    for rows in [texts] if packed else slices(texts, size):
        ids, offsets = (rows.input_ids, rows.offsets) if packed else tokenize(rows, tokenizer, positions, first_row)
        ids, offsets = _int32(np.asarray(ids)), np.ascontiguousarray(offsets, dtype=np.int64)
        for start in range(0, len(offsets) - 1, size):
            part = offsets[start : start + size + 1]
            yield Window(ids, part, end_id, positions, vocabulary, first_row + start)
        first_row += len(offsets) - 1


def _int32(ids: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Ids of any integer dtype in the engine's; what it cannot hold is outside every vocabulary anyway."""
    if ids.dtype.kind not in "iu":
        raise TypeError(f"texts has input_ids of {ids.dtype}; expected integers")
    limits = np.iinfo(np.int32)
    return np.ascontiguousarray(ids if ids.dtype == np.int32 else ids.clip(-1, limits.max).astype(np.int32))
