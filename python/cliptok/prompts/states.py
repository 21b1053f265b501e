"""States of rows, from a cache bounded in bytes or from the encoder: what was encoded once is not encoded again."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from cliptok.encoder.rows import encode_rows
from cliptok.encoder.sharing.fingerprint import weights_state
from cliptok.prompts.layers import Layer
from cliptok.prompts.weighting import RowMaker

if TYPE_CHECKING:
    from cliptok import TextEncoder


@dataclasses.dataclass
class Stats:
    """Rows asked for, rows that the encoder ran, and what the cache holds."""

    asked: int = 0
    encoded: int = 0
    cached: int = 0
    bytes: int = 0


class Encoded(NamedTuple):
    """The states of rows (rows, 77, width), and their pooled outputs (rows, width) if these were asked for.

    What stands past the positions that were asked for is finite and means nothing.
    """

    states: Tensor
    pooled: Tensor | None


class StateCache:
    """The states of the rows that were used last, by encoder, its weights, layer, ids and what attention sees.

    Holds at most `limit` bytes. Safe to share between threads.
    """

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ValueError(f"cache_bytes must be at least 0, not {limit}")
        self.limit = limit
        self.stats = Stats()
        self._rows: OrderedDict[tuple[object, ...], tuple[Tensor, Tensor | None]] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[StateCache], tuple[int]]:
        # Its keys mean encoders of this process.
        return StateCache, (self.limit,)

    def clear(self) -> None:
        with self._lock:
            self._rows.clear()
            self.stats.bytes = self.stats.cached = 0

    def get(self, key: tuple[object, ...]) -> tuple[Tensor, Tensor | None] | None:
        with self._lock:
            found = self._rows.get(key)
            if found is not None:
                self._rows.move_to_end(key)
            return found

    def put(self, key: tuple[object, ...], states: Tensor, pooled: Tensor | None) -> None:
        size = _bytes(states, pooled)
        if size > self.limit:
            return
        # A copy: a view would keep the whole batch alive.
        kept = states.clone(), None if pooled is None else pooled.clone()
        with self._lock:
            old = self._rows.pop(key, None)
            if old is not None:
                self.stats.bytes -= _bytes(*old)
            self._rows[key] = kept
            self.stats.bytes += size
            while self.stats.bytes > self.limit:
                _, gone = self._rows.popitem(last=False)
                self.stats.bytes -= _bytes(*gone)
            self.stats.cached = len(self._rows)


def _bytes(states: Tensor, pooled: Tensor | None) -> int:
    return states.nbytes + (0 if pooled is None else pooled.nbytes)


@torch.inference_mode()
def states_of(
    encoder: TextEncoder, rows: RowMaker, layer: Layer, pooled: bool, vectors: Tensor | None, cache: StateCache
) -> Encoded:
    """States and pooled outputs of all rows; only what the cache lacks is encoded."""
    count = len(rows.rows)
    weights = weights_state(encoder)
    keys = [(id(encoder), weights, layer, pooled, key) for key in rows.keys]
    found = [cache.get(key) for key in keys]
    new = [number for number, entry in enumerate(found) if entry is None]
    cache.stats.asked += count
    cache.stats.encoded += len(new)
    fresh = _encode(encoder, rows, new, layer, pooled, vectors) if new else None
    if fresh is not None:
        for place, number in enumerate(new):
            at = None if fresh.pooled is None else fresh.pooled[place]
            states = fresh.states[place, : rows.lengths[number]]
            cache.put(keys[number], states, at)
            found[number] = states, at
        if len(new) == count:
            return fresh
    entries = [entry for entry in found if entry is not None]
    full = [state if len(state) == 77 else pad(state, (0, 0, 0, 77 - len(state))) for state, _ in entries]
    states = torch.stack(full)
    ends = [entry[1] for entry in entries if entry[1] is not None]
    return Encoded(states, torch.stack(ends) if pooled else None)


def _encode(
    encoder: TextEncoder, rows: RowMaker, new: list[int], layer: Layer, pooled: bool, vectors: Tensor | None
) -> Encoded:
    ids = np.stack([rows.rows[number] for number in new])
    hidden = None
    if any(rows.hidden[number] is not None for number in new):
        hidden = np.zeros(ids.shape, bool)
        for place, number in enumerate(new):
            one = rows.hidden[number]
            if one is not None:
                hidden[place] = one
    ends = np.array([rows.ends[number] for number in new]) if pooled else None

    def run(depth: int, final_norm: bool, pool_at: npt.NDArray[np.int64] | None) -> Encoded:
        found = encode_rows(
            encoder,
            ids,
            layer=depth,
            final_norm=final_norm,
            hidden=hidden,
            pool_at=pool_at,
            vectors=vectors,
            lengths=np.array([rows.lengths[number] for number in new]),
        )
        return Encoded(found.states.float(), None if found.pooled is None else found.pooled.float())

    if not layer.mixed:
        return run(layer.depth, layer.final_norm, ends)
    found = run(layer.depth, False, ends)
    states = torch.lerp(found.states, run(layer.depth - 1, False, None).states, layer.mixed)
    if layer.final_norm:
        norm = encoder.final_layer_norm
        states = torch.nn.functional.layer_norm(
            states, states.shape[-1:], norm.weight.float(), norm.bias.float(), norm.eps
        )
    return Encoded(states, found.pooled)
