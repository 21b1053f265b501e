"""Every position of many rows of ids, any hidden layer, with rows that begin alike computed once.

`TextEncoder.encode` gives pooled outputs of texts. An image model reads all positions, padding too, perhaps of an
earlier layer, perhaps with tokens that attention does not see.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cliptok.encoder.encode import check_plain, grouped, sizes_of
from cliptok.encoder.sharing.attention import NodeBatch
from cliptok.encoder.sharing.graphs import GRAPH_TOKENS, GraphedNodes
from cliptok.encoder.sharing.linear_layers import Workspace, compute_dtype
from cliptok.encoder.sharing.nodes import encode_states
from cliptok.encoder.sharing.plan import Batch, build_batch, sort_window, split_batches

if TYPE_CHECKING:
    from cliptok.encoder.model import TextModel

# An id with this added is a token that no query sees, not even its own: another node of the trie.
HIDDEN = 1 << 30


class RowStates(NamedTuple):
    """What `encode_rows` gives, in the dtype that is computed in."""

    states: Tensor
    """(rows, length, width)"""
    pooled: Tensor | None
    """(rows, width), after the final LayerNorm and before the projection."""


@torch.inference_mode()
def encode_rows(
    encoder: TextModel,
    ids: npt.NDArray[np.integer],
    *,
    layer: int | None = None,
    final_norm: bool = True,
    hidden: npt.NDArray[np.bool_] | None = None,
    pool_at: npt.NDArray[np.integer] | None = None,
    vectors: Tensor | None = None,
) -> RowStates:
    """The states of all positions of `ids` (rows, length), each distinct row and each common beginning computed once.

    `layer` counts from 0, the embeddings, to the number of blocks, the default; `final_norm` sends the states through
    the final LayerNorm. `hidden` (rows, length) marks tokens that attention does not see; the first cannot be one.
    `pool_at` (rows,) gives the positions of pooled outputs, which are the last layer's whatever `layer` is. Ids from
    the vocabulary's size on are rows of `vectors` (n, width). There is no attention mask but causality.

    Raises ValueError for wrong shapes, for ids without an embedding and for a layer that there is not; TypeError for
    layers that are wrapped.
    """
    symbols = _checked(encoder, np.asarray(ids), hidden, vectors)
    rows, length = symbols.shape
    depth = encoder.config.layers if layer is None else layer
    if not 0 <= depth <= encoder.config.layers:
        raise ValueError(f"layer {depth} is not between 0 and the encoder's {encoder.config.layers} blocks")
    check_plain(encoder)
    dtype, device = compute_dtype(encoder.dtype, encoder.device), encoder.device
    width = encoder.config.width
    if not rows:
        return RowStates(torch.empty(0, length, width, dtype=dtype, device=device), None)
    window = sort_window(symbols.ravel(), np.arange(rows + 1) * length)
    first = np.empty(len(window.lengths), np.int64)
    first[window.inverse] = np.arange(rows)
    ends = None if pool_at is None else np.asarray(pool_at)[first]
    states = torch.empty(len(first), length, width, dtype=dtype, device=device)
    pooled = None if ends is None else torch.empty(len(first), width, dtype=dtype, device=device)
    sizes = sizes_of(device)
    run = _Run(encoder, dtype, depth, final_norm, vectors)
    batches = (_batch(build_batch(window, *cut, sizes.chunk), ends) for cut in split_batches(window, sizes.budget))
    for group in grouped(batches, sizes.per_layer):
        for batch, (found, at_ends) in zip(group, run(group, ends is not None), strict=True):
            begin, stop = int(batch.outputs[0]), int(batch.outputs[-1]) + 1
            where = torch.from_numpy(batch.stored(batch.path)).to(device)
            torch.index_select(found, 0, where.flatten(), out=states[begin:stop].view(-1, width))
            if pooled is not None and at_ends is not None:
                pooled[begin:stop] = at_ends
    inverse = torch.from_numpy(window.inverse).to(device)
    return RowStates(states[inverse], None if pooled is None else pooled[inverse])


def _checked(
    encoder: TextModel, ids: npt.NDArray[np.integer], hidden: npt.NDArray[np.bool_] | None, vectors: Tensor | None
) -> npt.NDArray[np.int64]:
    positions, vocabulary = encoder.config.positions, encoder.embeddings.token_embedding.num_embeddings
    if ids.ndim != 2 or not 1 <= ids.shape[1] <= positions:
        raise ValueError(f"ids must have shape (rows, length), length at most {positions}, not {ids.shape}")
    known = vocabulary + (0 if vectors is None else len(vectors))
    if ids.size and not 0 <= ids.min() <= ids.max() < known:
        raise ValueError(f"ids hold {ids.min()} to {ids.max()}, but there are embeddings for 0 to {known - 1}")
    wide = ids.astype(np.int64)
    if hidden is not None:
        if hidden.shape != ids.shape:
            raise ValueError(f"hidden has shape {hidden.shape} but ids has {ids.shape}; give one value per id")
        if hidden[:, 0].any():
            raise ValueError(f"hidden row {int(hidden[:, 0].argmax())} hides the first token; something must be seen")
        wide[hidden] += HIDDEN
    return wide


def _batch(batch: Batch, ends: npt.NDArray[np.int64] | None) -> Batch:
    """With hidden tokens' nodes seen by nobody, and with the ends where outputs are pooled."""
    is_hidden = batch.tokens >= HIDDEN
    if is_hidden.any():
        # Who looks at a node are its descendants: it gets none, itself left out.
        batch.subtree_end[is_hidden[batch.pair]] = 0
        batch.tokens[is_hidden] -= HIDDEN
    if ends is None:
        return dataclasses.replace(batch, eos_nodes=batch.eos_nodes[:0])
    numbers = batch.path[np.arange(len(batch.outputs)), ends[batch.outputs]]
    return dataclasses.replace(batch, eos_nodes=batch.stored(numbers))


class _Run:
    """Batches in, states of their nodes out."""

    def __init__(
        self, encoder: TextModel, dtype: torch.dtype, depth: int, final_norm: bool, vectors: Tensor | None
    ) -> None:
        self.encoder, self.dtype = encoder, dtype
        self.depth, self.final_norm, self.vectors = depth, final_norm, vectors
        self.work = Workspace()
        self.graphed = GraphedNodes(encoder, dtype) if encoder.device.type == "cuda" and vectors is None else None

    def __call__(self, batches: list[Batch], pooled: bool) -> Iterator[tuple[Tensor, Tensor | None]]:
        if self.graphed is not None and len(batches) == 1 and batches[0].shape.padded <= GRAPH_TOKENS:
            yield self.graphed.states(batches[0], self.depth, self.final_norm, pooled)
            return
        heads, device = self.encoder.config.heads, self.encoder.device
        nodes = [NodeBatch.of(batch, heads, self.dtype, device) for batch in batches]
        yield from encode_states(self.encoder, nodes, self.work, self.depth, self.final_norm, pooled, self.vectors)
