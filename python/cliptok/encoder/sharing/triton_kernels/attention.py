"""Attention of a trie's nodes: keys are read where they are and visibility is computed, without gathers or a mask.

One program does one head of one chunk: its queries, then blocks of its key slots (the ancestors of its first node, then
itself) with an online softmax in float32. Node k sees node j if `number[j] <= number[k] < subtree_end[j]`.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from cliptok.encoder.sharing.triton_kernels import Trie

BLOCK = 32  # key slots at a time
WARPS = {torch.float16: 4, torch.bfloat16: 4, torch.float32: 8}  # without spilling registers


@triton.jit
def trie_attention(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    number_ptr,
    end_ptr,
    ancestor_ptr,
    scale,
    N: tl.constexpr,
    SLOTS: tl.constexpr,
    CHUNK: tl.constexpr,
    HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    D: tl.constexpr,
    BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """`q`, `k`, `v` and `out` are (N, HEADS * SIZE), contiguous; D is SIZE rounded up to a power of two."""
    chunk = tl.program_id(0)
    head = tl.program_id(1)
    d = tl.arange(0, D)
    in_head = d < SIZE
    rows = chunk * CHUNK + tl.arange(0, CHUNK)
    at_q = rows[:, None] * (HEADS * SIZE) + head * SIZE + d[None, :]
    q = tl.load(q_ptr + at_q, mask=in_head[None, :], other=0.0)
    query = tl.load(number_ptr + rows)
    best = tl.full((CHUNK,), -1e30, tl.float32)
    total = tl.zeros((CHUNK,), tl.float32)
    sums = tl.zeros((CHUNK, D), tl.float32)
    for first in range(0, SLOTS + CHUNK, BLOCK):
        slot = first + tl.arange(0, BLOCK)
        # Slots past the ancestors are the chunk's own nodes.
        is_ancestor = slot < SLOTS
        node = tl.load(ancestor_ptr + chunk * SLOTS + slot, mask=is_ancestor, other=N)
        node = tl.where(is_ancestor, node, chunk * CHUNK + slot - SLOTS)
        real = (node < N) & (slot < SLOTS + CHUNK)
        key = tl.load(number_ptr + node, mask=real, other=0)
        end = tl.load(end_ptr + node, mask=real, other=0)
        if tl.max(end, 0) > 0:  # else no slot of the block has a node that anybody sees
            at_k = node[:, None] * (HEADS * SIZE) + head * SIZE + d[None, :]
            loaded = real[:, None] & in_head[None, :]
            k = tl.load(k_ptr + at_k, mask=loaded, other=0.0)
            v = tl.load(v_ptr + at_k, mask=loaded, other=0.0)
            scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
            visible = (key[None, :] <= query[:, None]) & (query[:, None] < end[None, :])
            scores = tl.where(visible, scores, -1e30)
            now = tl.maximum(best, tl.max(scores, 1))
            kept = tl.exp2(best - now)
            weights = tl.where(visible, tl.exp2(scores - now[:, None]), 0.0)
            total = total * kept + tl.sum(weights, 1)
            sums = sums * kept[:, None] + tl.dot(weights.to(v.dtype), v, input_precision=PRECISION)
            best = now
    # A node that is hidden sees its ancestors at least; the first one is never hidden.
    found = sums / total[:, None]
    tl.store(out_ptr + at_q, found.to(out_ptr.dtype.element_ty), mask=in_head[None, :])


def attend(q: Tensor, k: Tensor, v: Tensor, trie: Trie, out: Tensor) -> Tensor:
    """Fill `out` (N, width) of q, k and v (N, width), all contiguous, with whole chunks in depth-first order."""
    number, subtree_end, ancestors, heads = trie
    nodes, width = q.shape
    chunks, slots = ancestors.shape
    size = width // heads
    trie_attention[(chunks, heads)](
        q,
        k,
        v,
        out,
        number,
        subtree_end,
        ancestors,
        size**-0.5 * 1.4426950408889634,  # exp2 for exp
        N=nodes,
        SLOTS=slots,
        CHUNK=nodes // chunks,
        HEADS=heads,
        SIZE=size,
        D=max(16, triton.next_power_of_2(size)),
        BLOCK=BLOCK,
        PRECISION="ieee" if q.dtype == torch.float32 else None,
        num_warps=WARPS[q.dtype],
        num_stages=2,
    )
    return out
