"""How planned batches run: on a CPU as they are, on CUDA padded to canonical sizes and from graphs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cliptok.encoder.sharing.attention import NodeBatch
from cliptok.encoder.sharing.graphs import Compute, GraphRunner, Outputs
from cliptok.encoder.sharing.linear_layers import Workspace, compute_dtype
from cliptok.encoder.sharing.nodes import encode_nodes
from cliptok.encoder.sharing.plan import (
    SLOTS,
    Batch,
    BatchShape,
    CanonicalSize,
    Window,
    build_batch,
    build_canonical,
)

if TYPE_CHECKING:
    from cliptok.encoder.model import TextModel


class Sizes(NamedTuple):
    """How much a device takes at once."""

    budget: int  # nodes per batch: a CPU's cache should hold their activations, a GPU wants enough rows to fill it
    chunk: int  # nodes that attend together: small ones waste less on the mask, large ones repeat fewer ancestors
    per_layer: int  # nodes that go through a layer, batch after batch, while its weights are in a CPU's cache


CPU = Sizes(budget=1024, chunk=16, per_layer=8192)
CUDA = Sizes(budget=16384, chunk=64, per_layer=1)


# What batches on CUDA are padded to, each a graph. Captions have an end of text per twelve nodes, prompts of one
# template one per four, and lists of single words one per two.
CANONICAL = (
    *(CanonicalSize(nodes, nodes // 4) for nodes in (128, 256, 512, 1024, 2048)),
    *(CanonicalSize(nodes, nodes // part) for nodes in (4096, 8192) for part in (8, 4)),
    *(CanonicalSize(16384, 16384 // part) for part in (8, 4, 2)),
)


def sizes_of(device: torch.device) -> Sizes:
    return CUDA if device.type == "cuda" else CPU


class Planned(NamedTuple):
    """Batches of a window that are computed together, in the window's order."""

    window: Window
    batches: list[Batch]


def output_width(tower: TextModel, output: str) -> int:
    """The number of values in an embedding."""
    projection = tower.text_projection if output == "text_embeds" else None
    return tower.config.width if projection is None else projection.out_features


class Computation:
    """What is computed of a batch: pooled outputs, projected and normalized as asked for."""

    def __init__(self, tower: TextModel, output: str, normalize: bool, fused: bool = False) -> None:
        self.tower, self.output, self.normalize, self.fused = tower, output, normalize, fused
        self.projection = tower.text_projection if output == "text_embeds" else None
        self.width = output_width(tower, output)
        self.dtype = compute_dtype(tower.dtype, tower.device)

    def __call__(self, batches: Sequence[tuple[Tensor, BatchShape]], work: Workspace) -> list[Tensor]:
        """Per batch, packed and on the device, its rows (M, width) in the tower's dtype."""
        heads = self.tower.config.heads
        nodes = [NodeBatch.unpack(packed, shape, heads, self.dtype, self.fused) for packed, shape in batches]
        # Batch by batch to the end: a GEMM's rounding may depend on its number of rows.
        return [self._finish(pooled) for pooled in encode_nodes(self.tower, nodes, work)]

    def _finish(self, pooled: Tensor) -> Tensor:
        if self.projection is not None:
            pooled = pooled @ self.projection.weight.to(self.dtype).t()
        if self.normalize:
            pooled = F.normalize(pooled, dim=-1)
        return pooled.to(self.tower.dtype)


class OnCpu:
    """Planning and running for CPUs, and for devices that are treated like them: little work, many shapes."""

    def __init__(self, computation: Computation) -> None:
        self.computation, self.work = computation, Workspace()

    def plan(self, planned: Iterable[Window], budget: int | None, alone: bool) -> Iterator[Planned]:
        for window in planned:
            for batches in grouped(self._batches(window, budget or CPU.budget, alone), CPU.per_layer):
                yield Planned(window, batches)

    def _batches(self, window: Window, budget: int, alone: bool) -> Iterator[Batch]:
        if not alone:
            for start, stop in window.split(budget):
                yield build_batch(window, start, stop, CPU.chunk)
            return
        for row, length in enumerate(window.lengths().tolist()):
            # One chunk of the whole text: every shape depends on the text alone.
            yield build_batch(window, row, row + 1, -(-length // 8) * 8)

    def run(self, batches: list[Batch], out: Tensor) -> None:
        """Fill the rows `out` of these batches' texts."""
        device = self.computation.tower.device
        packed = [(batch.packed.to(device), batch.shape) for batch in batches]
        torch.cat(self.computation(packed, self.work), out=out)


class OnGpu:
    """Planning and running for CUDA: few shapes, each of them a graph."""

    def __init__(self, computation: Computation, graphs: GraphRunner) -> None:
        self.computation, self.graphs = computation, graphs
        # As many slots as a node can have ancestors.
        self.slots = -(-(computation.tower.config.positions - 1) // SLOTS) * SLOTS

    def plan(self, planned: Iterable[Window], budget: int | None, alone: bool) -> Iterator[Planned]:
        sizes = [size for size in CANONICAL if size.nodes <= (budget or CUDA.budget)]
        sizes = sizes or list(CANONICAL[:1])
        longest = self.computation.tower.config.positions
        sizes += [size for size in CANONICAL if sizes[-1].nodes < longest and size.nodes > sizes[-1].nodes][:1]
        for window in planned:
            for start, stop, size in self._split(window, sizes, alone):
                yield Planned(window, [self._build(window, start, stop, size)])

    def _split(
        self, window: Window, sizes: Sequence[CanonicalSize], alone: bool
    ) -> Iterator[tuple[int, int, CanonicalSize]]:
        if not alone:
            for start, stop, size in window.split_canonical(sizes):
                yield start, stop, CanonicalSize(*size)
            return
        for row, length in enumerate(window.lengths().tolist()):
            yield row, row + 1, next(size for size in sizes if size.nodes >= length)

    def run(self, batches: list[Batch], out: Tensor) -> None:
        """Fill the rows `out` of the one batch's texts."""
        (batch,) = batches
        key, compute = self._graphed(batch.shape)
        self.graphs.run(key, compute, batch.packed, lambda outputs: out.copy_(outputs[0][: len(out)]))

    def warm_up(self) -> None:
        """Capture a graph for every canonical size."""
        root = Window(np.zeros(1, dtype=np.int32), np.array([0, 1]), 0, 1, 1, 0)
        for size in CANONICAL:
            batch = self._build(root, 0, 1, size)
            self.graphs.capture(*self._graphed(batch.shape), batch.packed)

    def _build(self, window: Window, start: int, stop: int, size: CanonicalSize) -> Batch:
        return build_canonical(window, start, stop, size, CUDA.chunk, self.slots, pin=True)

    def _graphed(self, shape: BatchShape) -> tuple[Hashable, Compute]:
        """The name of a shape's graph, and what it computes from `Batch.packed`."""

        def compute(packed: Tensor) -> Outputs:
            return tuple(self.computation([(packed, shape)], Workspace()))

        return ("nodes", shape, self.computation.output, self.computation.normalize, self.computation.fused), compute


def grouped(batches: Iterable[Batch], nodes: int) -> Iterator[list[Batch]]:
    """Consecutive batches of at least `nodes` nodes together."""
    group: list[Batch] = []
    held = 0
    for batch in batches:
        group.append(batch)
        held += batch.nodes
        if held >= nodes:
            yield group
            group, held = [], 0
    if group:
        yield group
