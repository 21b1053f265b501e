"""Rows of activations in 8 bits, each with a scale of its own; the activation function before it in the same pass."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

ACTIVATIONS = {None: 0, "quick_gelu": 1, "gelu": 2}


@triton.jit
def quantize_row(
    x_ptr, out_ptr, scale_ptr, LARGEST: tl.constexpr, ACTIVATION: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr
):
    """One program does one row."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    x = tl.load(x_ptr + row * WIDTH + column, mask=inside, other=0.0).to(tl.float32)
    if ACTIVATION == 1:
        x *= tl.sigmoid(1.702 * x)
    if ACTIVATION == 2:
        x *= 0.5 * (1 + tl.erf(x * 0.7071067811865476))
    scale = tl.maximum(tl.max(tl.abs(x), 0) / LARGEST, 1.1754943508222875e-38)
    tl.store(scale_ptr + row, scale)
    tl.store(out_ptr + row * WIDTH + column, (x / scale).to(out_ptr.dtype.element_ty), mask=inside)


def quantize_rows(x: Tensor, activation: str | None, dtype: torch.dtype, largest: float) -> tuple[Tensor, Tensor]:
    """Values (n, width) of `dtype`, a float, and scales (n,) in float32, of x (n, width), contiguous."""
    rows, width = x.shape
    out, scale = torch.empty_like(x, dtype=dtype), x.new_empty(rows, dtype=torch.float32)
    block = triton.next_power_of_2(width)
    quantize_row[(rows,)](
        x,
        out,
        scale,
        LARGEST=largest,
        ACTIVATION=ACTIVATIONS[activation],
        WIDTH=width,
        BLOCK=block,
        num_warps=max(1, min(8, block // 512)),
    )
    return out, scale
