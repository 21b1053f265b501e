"""Which tokens to compute: texts merged into a prefix trie, the trie split into batches.

A causal encoder's state at a position depends only on the tokens up to it. Texts with a common prefix therefore have
equal states there, and a node of the trie, which is a token with its whole prefix, is computed once.

Nodes are numbered depth first, in the order of the sorted texts. Then a node's descendants are a range that starts
with itself, `[node, subtree_end[node])`, and node k may look at node j exactly if `j <= k < subtree_end[j]`.
Attention works on chunks of `chunk` consecutive nodes: their queries are a view of the batch, their keys are the chunk
itself and the ancestors of its first node. (An ancestor of a later node in the chunk, if it is before the chunk, is
an ancestor of the first node too.)

There are two ways to lay a batch out. A CPU wants little work: most chunks have few ancestors and some have many, so
chunks are stored in the order of their key slots, and those with equally many attend together. A GPU wants few shapes,
since every shape needs a graph of its own: batches are padded to a few canonical sizes, and every chunk has slots for
as many ancestors as there can be.

The engine does the planning (`rust/engine/src/prefix_plan`); here is what its results mean.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cliptok._engine import Window

__all__ = ["SLOTS", "Batch", "BatchShape", "CanonicalSize", "Window", "build_batch", "build_canonical", "row_nodes"]

# A query's key slots, ancestors and own chunk together, are a multiple of this: vectors without a remainder.
SLOTS = 32


class BatchShape(NamedTuple):
    """The numbers that determine every tensor shape of a batch."""

    pairs: int  # U, distinct pairs of token and position; 0 where every node has its own
    groups: tuple[tuple[int, int], ...]  # (chunks, P) in the order of storage
    chunk: int  # nodes per chunk
    eos: int  # M

    @property
    def padded(self) -> int:
        """N."""
        return self.chunk * sum(chunks for chunks, _ in self.groups)

    def sections(self) -> list[int]:
        """Lengths of the parts of `Batch.packed`, in order; the groups' ancestors are one part each."""
        pairs = self.pairs or self.padded
        each = [pairs, pairs, self.padded if self.pairs else 0, self.padded, self.padded]
        return [*each, *(chunks * slots for chunks, slots in self.groups), self.eos]


class CanonicalSize(NamedTuple):
    """A size that batches are padded to, so that they all have the same shapes."""

    nodes: int  # N, whole chunks
    eos: int  # M


@dataclasses.dataclass
class Batch:
    """One trie, of N nodes padded to whole chunks. A padding node sees itself only and is nobody's ancestor.

    `packed` holds, one after another and int32: token ids (U,) and positions (U,) of the distinct pairs; the pair (N,)
    of each node, in the order of storage as all that follows; its depth-first number (N,); one past the number of its
    last descendant (N,); per group (chunks, P) the nodes before each chunk that its first node may look at, N for
    none; the nodes (M,) of the texts' end-of-sequence tokens, padded with node 0.
    """

    packed: Tensor
    shape: BatchShape
    start: int  # its first distinct text
    stop: int  # one past its last
    nodes: int  # N without padding

    def parts(self) -> tuple[Tensor, ...]:
        """Views of `packed`, one per section."""
        return torch.split(self.packed, self.shape.sections())


def build_batch(window: Window, start: int, stop: int, chunk: int) -> Batch:
    """The trie of rows `start` to `stop`. N is rounded up to whole chunks, key slots to multiples of `SLOTS`."""
    packed, pairs, groups, nodes = window.build(start, stop, chunk)
    return Batch(torch.from_numpy(packed), BatchShape(pairs, tuple(groups), chunk, stop - start), start, stop, nodes)


def build_canonical(
    window: Window, start: int, stop: int, size: CanonicalSize, chunk: int, slots: int, pin: bool = False
) -> Batch:
    """The trie of rows `start` to `stop` padded to a canonical size, in depth-first order: one group, no pairs.

    `slots` is P for every chunk: at least the tower's positions less one. `pin` puts it into pinned memory.
    """
    shape = BatchShape(0, ((size.nodes // chunk, slots),), chunk, size.eos)
    packed = torch.empty(sum(shape.sections()), dtype=torch.int32, pin_memory=pin)
    nodes = window.build_canonical(start, stop, size, chunk, slots, packed.numpy())
    return Batch(packed, shape, start, stop, nodes)


def row_nodes(window: Window, batch: Batch) -> npt.NDArray[np.int64]:
    """(rows, longest) where the state of each position of each row of a batch is stored; past a row's end anything."""
    number = batch.parts()[3].numpy()
    stored = np.empty(len(number), dtype=np.int64)
    stored[number] = np.arange(len(number))
    nodes: npt.NDArray[np.int64] = stored[window.paths(batch.start, batch.stop).reshape(batch.stop - batch.start, -1)]
    return nodes
