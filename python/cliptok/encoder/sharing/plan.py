"""Which tokens to compute: texts merged into a prefix trie, the trie split into batches.

A causal encoder's state at a position depends only on the tokens up to it. Texts with a common prefix therefore have
equal states there, and a node of the trie, which is a token with its whole prefix, is computed once.

Nodes are numbered depth first, in the order of the sorted texts. Then a node's descendants are a range that starts
with itself, `[node, subtree_end[node])`, and node k may look at node j exactly if `j <= k < subtree_end[j]`.
Attention works on chunks of `chunk` consecutive nodes: their queries are a view of the batch, their keys are the chunk
itself and the ancestors of its first node. (An ancestor of a later node in the chunk, if it is before the chunk, is
an ancestor of the first node too.) Most chunks have few ancestors and some have many, so chunks are stored in the order
of their key slots, and those with equally many attend together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

# A query's key slots, ancestors and own chunk together, are a multiple of this: vectors without a remainder.
SLOTS = 32


class BatchShape(NamedTuple):
    """The numbers that determine every tensor shape of a batch."""

    pairs: int  # U
    groups: tuple[tuple[int, int], ...]  # (chunks, P) in the order of storage
    chunk: int

    @property
    def padded(self) -> int:
        """N."""
        return self.chunk * sum(chunks for chunks, _ in self.groups)


@dataclasses.dataclass
class Batch:
    """One trie, of N nodes padded to whole chunks. A padding node sees itself only and is nobody's ancestor.

    Arrays are in the order of storage; `number` has the depth-first numbers, which `subtree_end` is in too.
    """

    tokens: Int64  # (U,) token ids of the distinct pairs of token and position, filled up to whole chunks
    positions: Int64  # (U,)
    pair: Int64  # (N,) the pair of each node
    number: Int64  # (N,)
    subtree_end: Int64  # (N,) one past the number of the last descendant
    ancestors: list[Int64]  # per group (chunks, P): nodes before each chunk that its first node may look at; N for none
    eos_nodes: Int64  # (m,) the node of each distinct text's end-of-sequence token
    outputs: Int64  # (m,) the distinct text (row of the window) of each
    nodes: int  # N without padding
    chunk: int  # nodes per chunk

    @property
    def shape(self) -> BatchShape:
        groups = tuple((len(rows), rows.shape[1]) for rows in self.ancestors)
        return BatchShape(len(self.tokens), groups, self.chunk)

    def pack(self, eos: int | None = None) -> Int64:
        """Everything that the device needs in one array; `eos` pads `eos_nodes` to this many, with node 0."""
        parts = [self.tokens, self.positions, self.pair, self.number, self.subtree_end]
        parts += [rows.ravel() for rows in self.ancestors]
        parts.append(self.eos_nodes)
        if eos is not None:
            parts.append(np.zeros(eos - len(self.eos_nodes), dtype=np.int64))
        return np.concatenate(parts)


@dataclasses.dataclass
class Window:
    """Distinct texts in sorted order, and where every input text went."""

    rows: Int32  # (u, longest) distinct id rows, sorted; padded with -1
    lengths: Int64  # (u,)
    shared: Int64  # (u,) length of the prefix in common with the row before; 0 for the first
    inverse: Int64  # (n,) input text i is distinct row inverse[i]


def sort_window(input_ids: npt.NDArray[np.integer], offsets: Int64) -> Window:
    """Sort the texts `input_ids[offsets[i]:offsets[i + 1]]` and drop repeated ones. Every text needs a token."""
    lengths = np.diff(offsets)
    if len(lengths) and lengths.min() < 1:
        raise ValueError(f"text {int(lengths.argmin())} has no tokens; keep the special tokens")
    longest = int(lengths.max(initial=1))
    column = np.arange(longest)
    rows = np.full((len(lengths), longest), -1, dtype=np.int32)
    rows[column < lengths[:, None]] = input_ids[offsets[0] : offsets[-1]]
    # Big-endian ids + 1 compare as bytes just as the rows compare as sequences, a prefix before what continues it.
    keys = np.ascontiguousarray(rows + 1).astype(">u4").view(f"S{4 * longest}").ravel()
    order = np.argsort(keys, kind="stable")
    rows, lengths = rows[order], lengths[order]
    shared = np.zeros(len(rows), dtype=np.int64)
    if len(rows) > 1:
        same = rows[1:] == rows[:-1]
        shared[1:] = np.where(same.all(axis=1), longest, same.argmin(axis=1))
        shared[1:] = np.minimum(shared[1:], lengths[:-1])
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (shared[1:] < lengths[1:]) | (lengths[1:] != lengths[:-1])
    inverse = np.empty(len(rows), dtype=np.int64)
    inverse[order] = np.cumsum(new) - 1
    return Window(rows[new], lengths[new], shared[new], inverse)


def split_batches(window: Window, budget: int) -> Iterator[tuple[int, int]]:
    """Ranges of consecutive distinct rows whose tries have at most `budget` nodes (one row at least)."""
    new_nodes = np.cumsum(window.lengths - window.shared)
    start = 0
    while start < len(new_nodes):
        # A batch computes its first row whole, also the prefix that it shares with the batch before.
        before = new_nodes[start] - window.lengths[start]
        stop = max(int(np.searchsorted(new_nodes, before + budget, side="right")), start + 1)
        yield start, stop
        start = stop


def build_batch(window: Window, start: int, stop: int, chunk: int) -> Batch:
    """The trie of rows `start` to `stop`. N is rounded up to whole chunks, key slots to multiples of `SLOTS`."""
    lengths = window.lengths[start:stop]
    shared = window.shared[start:stop].copy()
    shared[0] = 0
    longest = int(lengths.max())
    column = np.arange(longest)
    fresh = (column >= shared[:, None]) & (column < lengths[:, None])
    first_node = np.concatenate([[0], np.cumsum(lengths - shared)])
    nodes = int(first_node[-1])

    # path[r, p] is the node of row r at position p: the one of the last row that was fresh there.
    owner = np.maximum.accumulate(np.where(column >= shared[:, None], np.arange(len(lengths))[:, None], -1), axis=0)
    path = first_node[owner] + column - shared[owner]

    chunks = -(-nodes // chunk)
    padded = chunks * chunk
    tokens = np.zeros(padded, dtype=np.int64)
    tokens[:nodes] = window.rows[start:stop, :longest][fresh]
    positions = np.zeros(padded, dtype=np.int64)
    positions[:nodes] = np.broadcast_to(column, fresh.shape)[fresh]
    last_row = np.zeros(nodes, dtype=np.int64)
    rows, columns = np.nonzero(column < lengths[:, None])
    np.maximum.at(last_row, path[rows, columns], rows)
    subtree_end = np.arange(1, padded + 1)
    subtree_end[:nodes] = first_node[last_row + 1]

    # From here on chunks stand in the order of storage.
    depth = positions[::chunk]
    slots = -(-(depth + chunk) // SLOTS) * SLOTS - chunk
    order = np.argsort(slots, kind="stable")
    place = np.empty(chunks + 1, dtype=np.int64)
    place[order] = np.arange(chunks)
    place[chunks] = chunks
    number = (order[:, None] * chunk + np.arange(chunk)).ravel()
    head_row = np.searchsorted(first_node, order * chunk, side="right") - 1
    groups = []
    for size in np.unique(slots):
        group = slots[order] == size
        slot = np.arange(size)
        above = path[head_row[group]][:, np.minimum(slot, longest - 1)]
        above = np.where(slot < depth[order[group], None], above, padded)
        groups.append(place[above // chunk] * chunk + above % chunk)
    eos = path[np.arange(len(lengths)), lengths - 1]
    pairs, pair = np.unique(tokens[number] * longest + positions[number], return_inverse=True)
    pairs = np.append(pairs, np.zeros(-len(pairs) % chunk, dtype=np.int64))  # fewer different shapes
    return Batch(
        tokens=pairs // longest,
        positions=pairs % longest,
        pair=pair,
        number=number,
        subtree_end=subtree_end[number],
        ancestors=groups,
        eos_nodes=place[eos // chunk] * chunk + eos % chunk,
        outputs=np.arange(start, stop),
        nodes=nodes,
        chunk=chunk,
    )
