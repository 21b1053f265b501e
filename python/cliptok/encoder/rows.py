"""Every position of many rows of ids, any hidden layer, with rows that begin alike computed once.

`TextEncoder.encode` gives pooled outputs of texts. An image model reads all positions, padding too, perhaps of an
earlier layer, perhaps with tokens that attention does not see.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cliptok.encoder.device import to_device
from cliptok.encoder.sharing import triton_kernels
from cliptok.encoder.sharing.attention import NodeBatch
from cliptok.encoder.sharing.execution import CANONICAL, CPU, CUDA, grouped
from cliptok.encoder.sharing.fingerprint import obstacle
from cliptok.encoder.sharing.graphs import Outputs, runner
from cliptok.encoder.sharing.linear_layers import Workspace, compute_dtype
from cliptok.encoder.sharing.nodes import encode_states
from cliptok.encoder.sharing.plan import (
    SLOTS,
    Batch,
    BatchShape,
    CanonicalSize,
    Window,
    build_batch,
    build_canonical,
    row_nodes,
)

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
    lengths: npt.NDArray[np.integer] | None = None,
) -> RowStates:
    """The states of all positions of `ids` (rows, length), each distinct row and each common beginning computed once.

    `layer` counts from 0, the embeddings, to the number of blocks, the default; `final_norm` sends the states through
    the final LayerNorm. `hidden` (rows, length) marks tokens that attention does not see; the first cannot be one.
    `pool_at` (rows,) gives the positions of pooled outputs, which are the last layer's whatever `layer` is. Ids from
    the vocabulary's size on are rows of `vectors` (n, width). There is no attention mask but causality. Of each row
    only the first `lengths` (rows,) positions are computed, by default all; the others are undefined.

    Raises ValueError for wrong shapes, for ids without an embedding and for a layer that there is not; TypeError for
    layers that are wrapped.
    """
    symbols = _checked(encoder, np.asarray(ids), hidden, vectors)
    rows, length = symbols.shape
    depth = encoder.depth if layer is None else layer
    if not 0 <= depth <= encoder.depth:
        raise ValueError(f"layer {depth} is not between 0 and the encoder's {encoder.depth} blocks")
    width, device = encoder.config.width, encoder.device
    run = _Run(encoder, depth, final_norm, vectors, pool_at is not None)
    if not rows:
        empty = torch.empty(0, width, dtype=run.dtype, device=device)
        return RowStates(empty.view(0, 1, width).expand(0, length, width), None if pool_at is None else empty)
    lengths = np.full(rows, length) if lengths is None else np.asarray(lengths)
    if lengths.shape != (rows,) or lengths.min() < 1 or lengths.max() > length:
        raise ValueError(f"lengths must be {rows} numbers from 1 to {length}")
    computed = np.arange(length) < lengths[:, None]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    window = Window(symbols[computed], offsets, None, length, 1 << 31, 0)
    first = np.empty(len(window), np.int64)
    first[window.inverse()] = np.arange(rows)
    # The end of a row that is not computed so far is nobody's.
    ends_at = None if pool_at is None else np.minimum(np.asarray(pool_at), lengths - 1)
    states = torch.empty(len(first), length, width, dtype=run.dtype, device=device)
    pooled = None if pool_at is None else torch.empty(len(first), width, dtype=run.dtype, device=device)
    with torch.autocast(device.type, enabled=False):
        for batches in grouped(_planned(window, encoder), CPU.per_layer if device.type != "cuda" else 1):
            nodes = [_of_length(row_nodes(window, batch), length) for batch in batches]
            for batch, where in zip(batches, nodes, strict=True):
                _prepare(batch, None if ends_at is None else ends_at[first], where)
            for batch, where, (found, ends) in zip(batches, nodes, run(batches), strict=True):
                rows_of = slice(batch.start, batch.stop)
                index = to_device(torch.from_numpy(where), device).flatten()
                torch.index_select(found, 0, index, out=states[rows_of].view(-1, width))
                if pooled is not None and ends is not None:
                    pooled[rows_of] = ends[: batch.stop - batch.start]
    inverse = to_device(torch.from_numpy(window.inverse()), device)
    return RowStates(states[inverse], None if pooled is None else pooled[inverse])


def _of_length(nodes: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    """Nodes (rows, longest) of as many positions as rows have; any node where none is computed."""
    return nodes if nodes.shape[1] == length else np.pad(nodes, ((0, 0), (0, length - nodes.shape[1])), mode="edge")


def _planned(window: Window, encoder: TextModel) -> Iterator[Batch]:
    """On CUDA batches of few shapes, so that graphs serve them; elsewhere what is least work."""
    if encoder.device.type != "cuda":
        for start, stop in window.split(CPU.budget):
            yield build_batch(window, start, stop, CPU.chunk)
        return
    slots = -(-(encoder.config.positions - 1) // SLOTS) * SLOTS
    for start, stop, size in window.split_canonical(CANONICAL):
        yield build_canonical(window, start, stop, CanonicalSize(*size), CUDA.chunk, slots, pin=True)


def _checked(
    encoder: TextModel, ids: npt.NDArray[np.integer], hidden: npt.NDArray[np.bool_] | None, vectors: Tensor | None
) -> npt.NDArray[np.int32]:
    if (found := obstacle(encoder)) is not None:
        raise TypeError(f"encode_rows cannot see {found}; merge adapters into the weights and remove hooks")
    if not encoder.config.causal or encoder.config.class_token:
        raise ValueError("encode_rows shares common prefixes, which needs causal attention and no class token")
    positions, vocabulary = encoder.config.positions, encoder.embeddings.token_embedding.num_embeddings
    if ids.ndim != 2 or not 1 <= ids.shape[1] <= positions:
        raise ValueError(f"ids must have shape (rows, length), length at most {positions}, not {ids.shape}")
    known = vocabulary + (0 if vectors is None else len(vectors))
    if ids.size and not 0 <= ids.min() <= ids.max() < known:
        raise ValueError(f"ids hold {ids.min()} to {ids.max()}, but there are embeddings for 0 to {known - 1}")
    wide = ids.astype(np.int32)
    if hidden is not None:
        if hidden.shape != ids.shape:
            raise ValueError(f"hidden has shape {hidden.shape} but ids has {ids.shape}; give one value per id")
        if hidden[:, 0].any():
            raise ValueError(f"hidden row {int(hidden[:, 0].argmax())} hides the first token; something must be seen")
        wide[hidden] += HIDDEN
    return wide


def _prepare(batch: Batch, ends: npt.NDArray[np.int64] | None, nodes: npt.NDArray[np.int64]) -> None:
    """Take hidden tokens out of everybody's sight, and set where outputs are pooled; in the batch's own memory."""
    tokens, _, pair, _, subtree_end, *_, eos = (part.numpy() for part in batch.parts())
    is_hidden = tokens >= HIDDEN
    if is_hidden.any():
        # Who looks at a node are its descendants: it gets none, itself left out.
        subtree_end[is_hidden[pair] if batch.shape.pairs else is_hidden] = 0
        tokens[is_hidden] -= HIDDEN
    if ends is not None:
        rows = np.arange(batch.stop - batch.start)
        eos[: len(rows)] = nodes[rows, ends[batch.start : batch.stop]]


class _Run:
    """Batches in, states of their nodes out."""

    def __init__(self, encoder: TextModel, depth: int, final_norm: bool, vectors: Tensor | None, pooled: bool) -> None:
        self.encoder, self.depth, self.final_norm, self.vectors = encoder, depth, final_norm, vectors
        self.pooled = pooled
        self.dtype = compute_dtype(encoder.dtype, encoder.device)
        self.work = Workspace()
        self.fused = triton_kernels.chosen(encoder)
        # A graph holds addresses: vectors that come and go are no part of one.
        self.graphs = runner(encoder) if encoder.device.type == "cuda" and vectors is None else None

    def __call__(self, batches: list[Batch]) -> Iterator[tuple[Tensor, Tensor | None]]:
        device = self.encoder.device
        packed = [(batch.packed, batch.shape) for batch in batches]
        if self.graphs is None:
            yield from self._compute([(to_device(tensor, device), shape) for tensor, shape in packed], self.work)
            return
        for tensor, shape in packed:
            key = ("rows", shape, self.depth, self.final_norm, self.pooled, self.fused)
            outputs = self.graphs.run(
                key,
                lambda inputs, shape=shape: self._outputs(inputs, shape),  # type: ignore[misc]
                tensor,
                lambda outputs: [output.clone() for output in outputs],
            )
            yield outputs[0], outputs[1] if self.pooled else None

    def _outputs(self, packed: Tensor, shape: BatchShape) -> Outputs:
        ((states, ends),) = self._compute([(packed, shape)], Workspace())
        return (states,) if ends is None else (states, ends)

    def _compute(self, batches: list[tuple[Tensor, BatchShape]], work: Workspace) -> list[tuple[Tensor, Tensor | None]]:
        heads = self.encoder.config.heads
        nodes = [NodeBatch.unpack(packed, shape, heads, self.dtype, self.fused) for packed, shape in batches]
        return encode_states(self.encoder, nodes, work, self.depth, self.final_norm, self.pooled, self.vectors)
