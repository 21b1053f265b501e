"""Attention of a trie's nodes: keys are read where they are and visibility is computed, without gathers or a mask.

One program does one head of one chunk: its queries, then the keys of the chunk itself, then blocks of the ancestors of
its first node as far as there are any, with an online softmax in float32. Node k sees node j if
`number[j] <= number[k] < subtree_end[j]`.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from cliptok.encoder.sharing.triton_kernels import Trie

BLOCK = 32  # ancestors at a time


@triton.jit
def add_keys(q, query, k, v, key, end, best, total, sums, scale):
    """The running maximum, total and weighted sum of each query, with one more block of keys."""
    scores = tl.dot(q, tl.trans(k)) * scale
    visible = (key[None, :] <= query[:, None]) & (query[:, None] < end[None, :])
    scores = tl.where(visible, scores, -1e30)
    now = tl.maximum(best, tl.max(scores, 1))
    kept = tl.exp2(best - now)
    weights = tl.where(visible, tl.exp2(scores - now[:, None]), 0.0)
    total = total * kept + tl.sum(weights, 1)
    sums = sums * kept[:, None] + tl.dot(weights.to(v.dtype), v)
    return now, total, sums


# N is a number like any other: a kernel for each canonical size would be compiled for seconds each.
@triton.jit(do_not_specialize=["N"])
def trie_attention(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    number_ptr,
    end_ptr,
    ancestor_ptr,
    scale,
    N,
    SLOTS: tl.constexpr,
    CHUNK: tl.constexpr,
    HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    D: tl.constexpr,
    PADDED_SLOTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """`q`, `k`, `v` and `out` are (N, HEADS * SIZE), contiguous; D and PADDED_SLOTS are SIZE and SLOTS rounded up to a
    power of two.
    """
    chunk = tl.program_id(0)
    head = tl.program_id(1)
    slots = tl.arange(0, PADDED_SLOTS)
    ancestors = tl.load(ancestor_ptr + chunk * SLOTS + slots, mask=slots < SLOTS, other=N)
    count = tl.sum((ancestors < N).to(tl.int32), 0)  # they come first
    d = tl.arange(0, D)
    in_head = d < SIZE
    rows = chunk * CHUNK + tl.arange(0, CHUNK)
    own = rows[:, None] * (HEADS * SIZE) + head * SIZE + d[None, :]
    q = tl.load(q_ptr + own, mask=in_head[None, :], other=0.0)
    k = tl.load(k_ptr + own, mask=in_head[None, :], other=0.0)
    v = tl.load(v_ptr + own, mask=in_head[None, :], other=0.0)
    query = tl.load(number_ptr + rows)
    end = tl.load(end_ptr + rows)
    best = tl.full((CHUNK,), -1e30, tl.float32)
    total = tl.zeros((CHUNK,), tl.float32)
    sums = tl.zeros((CHUNK, D), tl.float32)
    best, total, sums = add_keys(q, query, k, v, query, end, best, total, sums, scale)
    for first in range(0, count, BLOCK):
        slot = first + tl.arange(0, BLOCK)
        real = slot < count
        node = tl.load(ancestor_ptr + chunk * SLOTS + slot, mask=real, other=0)
        key = tl.load(number_ptr + node, mask=real, other=0)
        key_end = tl.load(end_ptr + node, mask=real, other=0)
        at = node[:, None] * (HEADS * SIZE) + head * SIZE + d[None, :]
        loaded = real[:, None] & in_head[None, :]
        ancestor_k = tl.load(k_ptr + at, mask=loaded, other=0.0)
        ancestor_v = tl.load(v_ptr + at, mask=loaded, other=0.0)
        best, total, sums = add_keys(q, query, ancestor_k, ancestor_v, key, key_end, best, total, sums, scale)
    # A node that is hidden sees its ancestors at least; the first one is never hidden.
    found = sums / total[:, None]
    tl.store(out_ptr + own, found.to(out_ptr.dtype.element_ty), mask=in_head[None, :])


def warps(head_size: int) -> int:
    """Of a program: enough to hold a chunk's sums in registers."""
    return 4 if head_size <= 64 else 8


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
        nodes,
        SLOTS=slots,
        CHUNK=nodes // chunks,
        HEADS=heads,
        SIZE=size,
        D=max(16, triton.next_power_of_2(size)),
        PADDED_SLOTS=triton.next_power_of_2(slots),
        BLOCK=BLOCK,
        num_warps=warps(size),
        num_stages=2,
    )
    return out
