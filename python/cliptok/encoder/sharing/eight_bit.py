"""Linear layers in 8 bits: weights rounded once, activations row by row as they come, products by torch's own kernels.

int8 on CPUs whose VNNI instructions sum four products at once; float8 (e4m3) on GPUs of compute capability 8.9 and
later. A row of activations has a scale of its own, so what is beside it in a batch changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INT8, FLOAT8 = torch.int8, torch.float8_e4m3fn
LARGEST = {INT8: 127.0, FLOAT8: 448.0}


class EightBit(NamedTuple):
    """A linear layer: `weight * scale[:, None]` is its weight."""

    weight: Tensor  # (out, in), int8 or float8_e4m3fn
    scale: Tensor  # (out,), float32
    bias: Tensor  # (out,)

    @classmethod
    def of(cls, layer: nn.Linear, dtype: torch.dtype) -> EightBit:
        """Rounded to the nearest, each output with the largest scale that its weights use up."""
        weight = layer.weight.detach().float()
        scale = (weight.abs().amax(1) / LARGEST[dtype]).clamp_(min=torch.finfo(torch.float32).tiny)
        return cls(_round(weight / scale[:, None], dtype), scale, layer.bias.detach())


class EightBitRows(NamedTuple):
    """Activations: `values * scale[:, None]`."""

    values: Tensor  # (rows, in), int8 or float8_e4m3fn
    scale: Tensor  # (rows,), float32


def _round(values: Tensor, dtype: torch.dtype) -> Tensor:
    return values.round_().to(dtype) if dtype == INT8 else values.to(dtype)


def quantized(x: Tensor | EightBitRows, dtype: torch.dtype, activation: str | None = None) -> EightBitRows:
    """Rows (n, in) in 8 bits, after the activation ("quick_gelu" or "gelu") if one is named."""
    if isinstance(x, EightBitRows):
        return x
    if x.is_cuda:
        from cliptok.encoder.sharing.triton_kernels.quantize import quantize_rows

        return EightBitRows(*quantize_rows(x, activation, dtype, LARGEST[dtype]))
    if activation is not None:
        x = F.gelu(x) if activation == "gelu" else x * torch.sigmoid(1.702 * x)
    scale = (x.abs().amax(1) / LARGEST[dtype]).clamp_(min=torch.finfo(torch.float32).tiny)
    return EightBitRows(_round(x / scale[:, None], dtype), scale)


def product(x: EightBitRows, layer: EightBit, dtype: torch.dtype) -> Tensor:
    """`x @ weight.T + bias` (n, out) in `dtype`."""
    if layer.weight.dtype == INT8:
        sums = torch._int_mm(x.values, layer.weight.t())
        return torch.addcmul(layer.bias.float(), sums * x.scale[:, None], layer.scale).to(dtype)
    return torch._scaled_mm(
        x.values,
        layer.weight.t(),
        scale_a=x.scale[:, None],
        scale_b=layer.scale[None],
        bias=layer.bias.to(dtype),
        out_dtype=dtype,
        use_fast_accum=True,
    )


class EightBitBlock(NamedTuple):
    """The six linear layers of a block."""

    q: EightBit
    k: EightBit
    v: EightBit
    out: EightBit
    fc1: EightBit
    fc2: EightBit
