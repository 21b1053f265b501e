"""`encode` with a cache: what is in it is read, and only the rest is encoded, and stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cliptok._common.prefetch import prefetch
from cliptok.encoder.caching.store import KEY_BYTES, EmbeddingCache
from cliptok.encoder.device import to_device
from cliptok.encoder.modulewise import is_wrapped, looks_back_only
from cliptok.encoder.sharing.execution import output_width
from cliptok.encoder.sharing.fingerprint import current_digest, obstacle
from cliptok.encoder.sharing.linear_layers import compute_dtype
from cliptok.encoder.sharing.stream import as_int32, token_windows, truncate_at_end

if TYPE_CHECKING:
    from cliptok.encoder.model import TextModel

RESULTS = 1
"""Counts up when `encode` begins to give other embeddings than before, by more than rounding."""


class Packed(NamedTuple):
    """Texts as ids: text i is `input_ids[offsets[i]:offsets[i + 1]]`."""

    input_ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    def take(self, rows: npt.NDArray[np.int64]) -> Packed:
        """Some of the texts."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        moved = np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Packed(self.input_ids[np.arange(offsets[-1]) + moved], offsets)


def cached_blocks(
    encoder: TextModel,
    texts: Any,
    tokenizer: Any,
    cache: EmbeddingCache,
    encode: Callable[[Packed], Any],
    *,
    window: int,
    **how: Any,
) -> Iterator[Tensor]:
    """Embeddings of `window` texts at a time; `encode` computes those that are not in the cache.

    `how` are the other arguments that an embedding depends on. Raises ValueError at once for an encoder that is more
    than its weights and configuration, by which a cache knows it.

    All of a window are stored at once before the next one is looked up, so that what is found depends on nothing but
    the texts before: after a kill the same windows find what they stored, and encode the same rest together.
    """
    more = "a forward pass or hooks of its own" if is_wrapped(encoder) else obstacle(encoder)
    if more is not None:
        raise ValueError(
            f"a cache knows an encoder by its weights and cannot see {more}; merge adapters into the weights and "
            "remove hooks, or encode without a cache"
        )
    return _blocks(
        encoder, _keyed(encoder, texts, tokenizer, window, _space(encoder, how)), cache, encode, how["output"]
    )


def _blocks(
    encoder: TextModel,
    windows: Iterator[tuple[Packed, list[bytes]]],
    cache: EmbeddingCache,
    encode: Callable[[Packed], Any],
    output: str,
) -> Iterator[Tensor]:
    width = output_width(encoder, output)
    for rows, keys in prefetch(windows):
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        distinct = list(numbers)
        copies = np.fromiter((numbers[key] for key in keys), np.int64, len(keys))
        found = torch.empty(len(distinct), width, dtype=encoder.dtype)
        values = found.view(torch.uint8).numpy()
        missing = np.flatnonzero(~cache.get(distinct, values))
        cache.asked += len(keys)
        cache.encoded += len(missing)
        if len(missing):
            first = np.empty(len(distinct), np.int64)
            first[copies[::-1]] = np.arange(len(keys))[::-1]
            with torch.autocast(encoder.device.type, enabled=False):
                computed = encode(rows.take(first[missing]))
            found[torch.from_numpy(missing)] = computed.cpu()
            cache.put([distinct[number] for number in missing], values[missing])
        yield to_device(found[torch.from_numpy(copies)], encoder.device)


def _space(encoder: TextModel, how: dict[str, Any]) -> bytes:
    """A digest of everything but the ids that an embedding depends on."""
    computed_in = str(compute_dtype(encoder.dtype, encoder.device)), torch.get_float32_matmul_precision()
    parts = [
        RESULTS,
        current_digest(encoder),
        str(encoder.dtype),
        encoder.device.type,
        *computed_in,
        sorted(how.items()),
    ]
    return blake2b(json.dumps(parts).encode(), digest_size=32).digest()


def _keyed(
    encoder: TextModel, texts: Any, tokenizer: Any, window: int, space: bytes
) -> Iterator[tuple[Packed, list[bytes]]]:
    """Windows of texts as ids, with the key of each text."""
    config = encoder.config
    empty = blake2b(key=space, digest_size=KEY_BYTES)
    for ids, offsets, first_row in token_windows(texts, tokenizer, window, config.context_length):
        kept, ends = truncate_at_end(ids, offsets, config.end_id, config.context_length, first_row)
        if looks_back_only(encoder):
            ids, offsets = kept, ends
        else:
            ids, offsets = ids[offsets[0] : offsets[-1]], offsets - offsets[0]
        rows = Packed(as_int32(ids), offsets)
        content = rows.input_ids.astype("<i4", copy=False).data.cast("B")
        keys = []
        for begin, end in pairwise((4 * offsets).tolist()):
            digest = empty.copy()
            digest.update(content[begin:end])
            keys.append(digest.digest())
        yield rows, keys
