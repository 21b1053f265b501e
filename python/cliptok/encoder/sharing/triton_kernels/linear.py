"""A linear layer and the activation behind it in one kernel: the activation reads sums that were never rounded."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

# With fewer the tiles do not fill a GPU evenly, and cuBLAS with the activation behind it is faster.
FEWEST_ROWS = 4096

# Rows, columns and depth of a program's tile; groups of row tiles read the same weights while these are in the cache.
TILE = {"ROWS": 128, "COLUMNS": 128, "DEPTH": 64, "GROUP": 8}
OPTIONS = {"num_warps": 8, "num_stages": 3}


@triton.jit(do_not_specialize=["M"])
def linear_activation(
    x_ptr,
    weight_ptr,
    bias_ptr,
    out_ptr,
    M,
    N: tl.constexpr,
    K: tl.constexpr,
    QUICK_GELU: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    GROUP: tl.constexpr,
):
    """`x` (M, K), `weight` (N, K), `bias` (N,), `out` (M, N), contiguous."""
    program = tl.program_id(0)
    across: tl.constexpr = (N + COLUMNS - 1) // COLUMNS
    down = tl.cdiv(M, ROWS)
    first = program // (GROUP * across) * GROUP
    height = tl.minimum(down - first, GROUP)
    row = (first + program % (GROUP * across) % height) * ROWS + tl.arange(0, ROWS)
    column = program % (GROUP * across) // height * COLUMNS + tl.arange(0, COLUMNS)
    # Past the edge the last row or column is computed again, and not stored.
    x_row = tl.minimum(row, M - 1).to(tl.int64)
    w_row = tl.minimum(column, N - 1)
    depth = tl.arange(0, DEPTH)
    x_at = x_ptr + x_row[:, None] * K + depth[None, :]
    w_at = weight_ptr + w_row[None, :] * K + depth[:, None]
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for k in range(0, K, DEPTH):
        if K % DEPTH == 0:
            x, w = tl.load(x_at), tl.load(w_at)
        else:
            x = tl.load(x_at, mask=depth[None, :] < K - k, other=0.0)
            w = tl.load(w_at, mask=depth[:, None] < K - k, other=0.0)
        total = tl.dot(x, w, total)
        x_at += DEPTH
        w_at += DEPTH
    total += tl.load(bias_ptr + w_row)[None, :].to(tl.float32)
    gate = tl.sigmoid(1.702 * total) if QUICK_GELU else 0.5 * (1 + tl.erf(total * 0.7071067811865476))
    total *= gate
    out_at = out_ptr + row.to(tl.int64)[:, None] * N + column[None, :]
    tl.store(out_at, total.to(out_ptr.dtype.element_ty), mask=(row < M)[:, None] & (column < N)[None, :])


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor, quick: bool, out: Tensor) -> Tensor:
    """`quick_gelu` or `gelu` of `x @ weight.T + bias` in `out`; all of one dtype and contiguous."""
    (rows, depth), columns = x.shape, len(weight)
    grid = (triton.cdiv(rows, TILE["ROWS"]) * triton.cdiv(columns, TILE["COLUMNS"]),)
    linear_activation[grid](
        x,
        weight,
        bias,
        out,
        rows,
        N=columns,
        K=depth,
        QUICK_GELU=quick,
        **TILE,
        **OPTIONS,
    )
    return out
