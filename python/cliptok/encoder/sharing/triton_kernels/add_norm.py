"""The residual sum and the LayerNorm behind it in one pass: `x += y`, then the LayerNorm of x."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def add_norm_rows(x_ptr, y_ptr, weight_ptr, bias_ptr, out_ptr, alpha, eps, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """One program does one row; sums are float32, and x is rounded before it is normalized, as in two steps."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    at = row * WIDTH + column
    x = tl.load(x_ptr + at, mask=inside, other=0.0)
    y = tl.load(y_ptr + at, mask=inside, other=0.0)
    total = (x.to(tl.float32) + alpha * y.to(tl.float32)).to(x.dtype)
    tl.store(x_ptr + at, total, mask=inside)
    total = total.to(tl.float32)
    mean = tl.sum(total, 0) / WIDTH
    centred = tl.where(inside, total - mean, 0.0)
    variance = tl.sum(centred * centred, 0) / WIDTH
    weight = tl.load(weight_ptr + column, mask=inside, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + column, mask=inside, other=0.0).to(tl.float32)
    found = centred * (1 / tl.sqrt_rn(variance + eps)) * weight + bias
    tl.store(out_ptr + at, found.to(out_ptr.dtype.element_ty), mask=inside)


def add_norm(x: Tensor, y: Tensor, alpha: float, weight: Tensor, bias: Tensor, eps: float, out: Tensor) -> Tensor:
    """`x += alpha * y` (N, width) in place, and its LayerNorm in `out`, all of one dtype and contiguous."""
    rows, width = x.shape
    block = triton.next_power_of_2(width)
    add_norm_rows[(rows,)](
        x, y, weight, bias, out, alpha, eps, WIDTH=width, BLOCK=block, num_warps=max(1, min(8, block // 256))
    )
    return out
