"""The naive twin of the engine's planner, in NumPy: the same layouts from whole matrices of rows and columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from cliptok.encoder.sharing.plan import BatchShape, CanonicalSize

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

SLOTS = 32


@dataclasses.dataclass
class Batch:
    packed: Int32
    shape: BatchShape
    start: int
    stop: int
    nodes: int


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


def split_canonical(window: Window, sizes: Sequence[CanonicalSize]) -> Iterator[tuple[int, int, CanonicalSize]]:
    """The same with batches that fit canonical sizes (ascending), each with the size that it is padded to.

    Whole batches have the largest size. What is left is padded up to a size that it fills to three quarters, or else
    first fills the size below, so that little padding is computed. A row longer than every size raises ValueError.
    """
    new_nodes = np.cumsum(window.lengths - window.shared)
    start = 0
    while start < len(new_nodes):
        before = new_nodes[start] - window.lengths[start]
        wanted = _wanted(int(new_nodes[-1] - before), int(window.lengths[start]), sizes)
        texts = max(size.eos for size in sizes if size.nodes == wanted)
        stop = min(int(np.searchsorted(new_nodes, before + wanted, side="right")), start + texts)
        nodes = int(new_nodes[stop - 1] - before)
        yield start, stop, next(size for size in sizes if size.nodes >= nodes and size.eos >= stop - start)
        start = stop


# Below this many nodes a GPU is not full anyway, and a second batch costs more than padding.
_PADDING_IS_FREE = 2048


def _wanted(remaining: int, row: int, sizes: Sequence[CanonicalSize]) -> int:
    """The nodes to fill a batch up to, where `remaining` nodes are left and the first text has `row`."""
    distinct = sorted({size.nodes for size in sizes})
    if row > distinct[-1]:
        raise ValueError(f"a text has {row} tokens but a batch at most {distinct[-1]} nodes")
    up = next((nodes for nodes in distinct if nodes >= remaining), distinct[-1])
    down = max((nodes for nodes in distinct if nodes < up), default=up)
    if remaining >= up or up <= _PADDING_IS_FREE or remaining > up * 3 // 4 or row > down:
        return up
    return down


def build_batch(window: Window, start: int, stop: int, chunk: int) -> Batch:
    """The trie of rows `start` to `stop`. N is rounded up to whole chunks, key slots to multiples of `SLOTS`."""
    trie = _Trie(window, start, stop)
    nodes, longest = trie.nodes, trie.longest
    chunks = -(-nodes // chunk)
    padded = chunks * chunk
    tokens, positions, subtree_end = trie.padded(padded)
    # From here on chunks stand in the order of storage.
    depth = positions[::chunk]
    slots = -(-(depth + chunk) // SLOTS) * SLOTS - chunk
    order = np.argsort(slots, kind="stable")
    place = np.empty(chunks + 1, dtype=np.int64)
    place[order] = np.arange(chunks)
    place[chunks] = chunks
    number = (order[:, None] * chunk + np.arange(chunk)).ravel()
    groups = []
    for size in np.unique(slots):
        above = trie.ancestors(order[slots[order] == size] * chunk, int(size), padded)
        groups.append(place[above // chunk] * chunk + above % chunk)
    eos = trie.eos()
    pairs, pair = np.unique(tokens[number] * longest + positions[number], return_inverse=True)
    pairs = np.append(pairs, np.zeros(-len(pairs) % chunk, dtype=np.int64))  # fewer different shapes
    shape = BatchShape(len(pairs), tuple(rows.shape for rows in groups), chunk, len(eos))
    parts = [pairs // longest, pairs % longest, pair, number, subtree_end[number]]
    parts += [*(rows.ravel() for rows in groups), place[eos // chunk] * chunk + eos % chunk]
    return Batch(np.concatenate(parts, dtype=np.int32, casting="same_kind"), shape, start, stop, nodes)


def build_canonical(window: Window, start: int, stop: int, size: CanonicalSize, chunk: int, slots: int) -> Batch:
    """The trie of rows `start` to `stop` padded to a canonical size, in depth-first order: one group, no pairs.

    `slots` is P for every chunk: at least the tower's positions less one.
    """
    trie = _Trie(window, start, stop)
    ancestors = trie.ancestors(np.arange(0, size.nodes, chunk), slots, size.nodes)
    eos = np.zeros(size.eos, dtype=np.int64)
    eos[: stop - start] = trie.eos()
    tokens, positions, subtree_end = trie.padded(size.nodes)
    shape = BatchShape(0, (ancestors.shape,), chunk, size.eos)
    parts = [tokens, positions, np.arange(size.nodes), subtree_end, ancestors.ravel(), eos]
    return Batch(np.concatenate(parts, dtype=np.int32, casting="same_kind"), shape, start, stop, trie.nodes)


class _Trie:
    """The trie of some rows of a window, its nodes numbered depth first."""

    def __init__(self, window: Window, start: int, stop: int) -> None:
        lengths = self.lengths = window.lengths[start:stop]
        shared = self.shared = window.shared[start:stop].copy()
        shared[0] = 0
        self.longest = int(lengths.max())
        self.column = column = np.arange(self.longest)
        self.fresh = (column >= shared[:, None]) & (column < lengths[:, None])
        self.first_node = np.concatenate([[0], np.cumsum(lengths - shared)])  # (rows + 1,)
        self.nodes = int(self.first_node[-1])
        self.rows = window.rows[start:stop, : self.longest]
        # path[r, p] is the node of row r at position p: the one of the last row that was fresh there.
        each = np.arange(len(lengths))[:, None]
        owner = np.maximum.accumulate(np.where(column >= shared[:, None], each, -1), axis=0)
        self.path = self.first_node[owner] + column - shared[owner]

    def padded(self, size: int) -> tuple[Int64, Int64, Int64]:
        """Token, position and subtree end of `size` nodes."""
        tokens = np.zeros(size, dtype=np.int64)
        tokens[: self.nodes] = self.rows[self.fresh]
        positions = np.zeros(size, dtype=np.int64)
        positions[: self.nodes] = np.broadcast_to(self.column, self.fresh.shape)[self.fresh]
        last_row = np.zeros(self.nodes, dtype=np.int64)
        rows, columns = np.nonzero(self.column < self.lengths[:, None])
        np.maximum.at(last_row, self.path[rows, columns], rows)
        subtree_end = np.arange(1, size + 1)
        subtree_end[: self.nodes] = self.first_node[last_row + 1]
        return tokens, positions, subtree_end

    def ancestors(self, heads: Int64, slots: int, none: int) -> Int64:
        """(heads, slots) the ancestors of each of these nodes from the root on, filled up with `none`."""
        head_row = np.searchsorted(self.first_node, np.minimum(heads, self.nodes - 1), side="right") - 1
        slot = np.arange(slots)
        above = self.path[head_row][:, np.minimum(slot, self.longest - 1)]
        position = heads - self.first_node[head_row] + self.shared[head_row]
        count = np.where(heads < self.nodes, position, 0)
        return np.where(slot < count[:, None], above, none)

    def eos(self) -> Int64:
        """(rows,) the node of each row's last token."""
        last: Int64 = self.path[np.arange(len(self.lengths)), self.lengths - 1]
        return last
