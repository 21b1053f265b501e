"""A planned batch on its device, and attention over its nodes."""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor

from cliptok.encoder.dot_product import attention as dot_product_attention
from cliptok.encoder.dot_product import masked_with
from cliptok.encoder.sharing.linear_layers import Workspace
from cliptok.encoder.sharing.plan import BatchShape
from cliptok.encoder.sharing.triton_kernels import Trie


@dataclasses.dataclass
class Group:
    """Chunks with equally many key slots, S, which attend together."""

    first: int  # its first chunk
    chunks: int
    keys: Tensor  # (chunks * S,) the node of every key slot; slots without a node are masked
    mask: Tensor  # (chunks, 1, chunk, S), 0 or the dtype's minimum, in the compute dtype
    heads: int

    @functools.cached_property
    def head_keys(self) -> Tensor:
        """(chunks * heads * S,) the keys where every row is one head of one node."""
        keys = self.keys.view(self.chunks, 1, -1) * self.heads
        return (keys + torch.arange(self.heads, device=keys.device, dtype=keys.dtype)[:, None]).flatten()


@dataclasses.dataclass
class NodeBatch:
    """A `Batch` as tensors on the encoder's device."""

    tokens: Tensor  # (U,) of the distinct pairs of token and position
    positions: Tensor  # (U,)
    pair: Tensor | None  # (N,) the pair of each node; None where U is N and each has its own
    groups: list[Group]
    eos_nodes: Tensor  # (M,)
    chunk: int
    dtype: torch.dtype
    trie: Trie | None = None  # what the fused kernels read, where those run

    @property
    def fused(self) -> bool:
        """Whether the Triton kernels run."""
        return self.trie is not None

    @classmethod
    def unpack(
        cls, packed: Tensor, shape: BatchShape, heads: int, dtype: torch.dtype, fused: bool = False
    ) -> NodeBatch:
        """From `Batch.packed` on the device. No synchronisation. `fused` is for canonical batches."""
        chunk, padded = shape.chunk, shape.padded
        tokens, positions, pair, number, subtree_end, *rest = torch.split(packed, shape.sections())
        if fused:
            ((chunks, slots),) = shape.groups
            trie = Trie(number, subtree_end, rest[0].view(chunks, slots), heads)
            return cls(tokens, positions, pair if shape.pairs else None, [], rest[-1], chunk, dtype, trie)
        # A slot without a node (key number `padded`) has no descendants.
        number, last = (torch.cat([t, t.new_zeros(1)]) for t in (number, subtree_end))
        places = torch.arange(padded, device=packed.device, dtype=packed.dtype).view(-1, chunk)
        made: list[Group] = []
        first = 0
        for (chunks, slots), ancestors in zip(shape.groups, rest[:-1], strict=True):
            own = places[first : first + chunks]
            keys = torch.cat([ancestors.view(chunks, slots), own], dim=1)
            query = number[first * chunk : (first + chunks) * chunk].view(chunks, chunk, 1)
            flat = keys.flatten()
            key, end = (t.index_select(0, flat).view(chunks, 1, -1) for t in (number, last))
            mask = masked_with(~((key <= query) & (query < end)), dtype)
            made.append(Group(first, chunks, flat.clamp(max=padded - 1), mask[:, None], heads))
            first += chunks
        return cls(tokens, positions, pair if shape.pairs else None, made, rest[-1], chunk, dtype)


@dataclasses.dataclass
class RowBatch:
    """Rows of equally many positions, which see their own row alone: nothing is shared, not even padding."""

    rows: int
    length: int
    heads: int
    causal: bool
    dtype: torch.dtype
    fused: bool


def attend(q: Tensor, k: Tensor, v: Tensor, batch: NodeBatch | RowBatch, work: Workspace) -> Tensor:
    """Attention of nodes to their ancestors and themselves; q, k, v and the result are (N, width)."""
    if isinstance(batch, RowBatch):
        q, k, v = (t.view(batch.rows, batch.length, batch.heads, -1).transpose(1, 2) for t in (q, k, v))
        return dot_product_attention(q, k, v, None, batch.causal).transpose(1, 2).reshape(len(q) * batch.length, -1)
    if q.is_cuda and batch.trie is None and len(batch.groups) == 1:
        return _attention_by_kernel(q, k, v, batch.groups[0])
    out = work.take("attention", q.shape[0], q.shape[1], q)
    if batch.trie is not None:
        from cliptok.encoder.sharing.triton_kernels import attention as fused

        return fused.attend(q, k, v, batch.trie, out)
    for group in batch.groups:
        rows = slice(group.first * batch.chunk, (group.first + group.chunks) * batch.chunk)
        _attention_by_matmul(q[rows], k, v, group, out[rows])
    return out


def _attention_by_kernel(q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
    """Of a canonical batch, whose chunks are one group; the kernel's output has the layout of the result."""
    q, k, v = (
        t.view(group.chunks, -1, group.heads, t.shape[1] // group.heads).transpose(1, 2)
        for t in (q, k.index_select(0, group.keys), v.index_select(0, group.keys))
    )
    y = dot_product_attention(q, k, v, group.mask, causal=False)
    return y.transpose(1, 2).reshape(-1, y.shape[1] * y.shape[3])


def _attention_by_matmul(q: Tensor, k: Tensor, v: Tensor, group: Group, out: Tensor) -> None:
    """The same by batched GEMMs, for devices other than CUDA.

    On blocks of so few rows the CPU's fused kernel is two to three times slower, and on MPS and XPU fused kernels with
    masks have been wrong in some torch versions.
    """
    chunks, heads, size = group.chunks, group.heads, q.shape[1] // group.heads
    # Gathered head by head, so that the operands of both are contiguous.
    q = q.view(chunks, -1, heads, size).transpose(1, 2).reshape(chunks * heads, -1, size)
    k, v = (t.view(-1, size).index_select(0, group.head_keys).view(chunks * heads, -1, size) for t in (k, v))
    if q.device.type == "cpu":
        # Scores reach into the hundreds: rounded to half precision they would be the least exact part of all.
        q, k, v = q.float(), k.float(), v.float()
    scores = torch.bmm(q, k.transpose(1, 2)).view(chunks, heads, *group.mask.shape[2:])
    torch.add(group.mask, scores, alpha=size**-0.5, out=scores)
    y = torch.bmm(scores.softmax(dim=-1).flatten(0, 1), v)
    out.view(chunks, -1, heads, size).copy_(y.view(chunks, heads, -1, size).transpose(1, 2))
