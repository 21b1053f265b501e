"""The kernels beside torch's operations, once, on the device that they are to run on."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptok.encoder.sharing.triton_kernels import Sizes, Trie
from cliptok.encoder.sharing.triton_kernels.add_norm import add_norm
from cliptok.encoder.sharing.triton_kernels.attention import attend
from cliptok.encoder.sharing.triton_kernels.linear import linear_gelu

CHUNK, SLOTS = 64, 96


@torch.no_grad()
def differences(device: torch.device, dtype: torch.dtype, sizes: Sizes) -> dict[str, float]:
    """Per kernel the largest difference to torch's operations in float32, over the largest magnitude; NaN if any is."""
    random = torch.Generator(device).manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, device=device).to(dtype)

    with torch.cuda.device(device), torch.autocast("cuda", enabled=False):
        width, nodes = sizes.width, 2 * CHUNK
        x, y, weight, bias = draw(nodes, width), draw(nodes, width), draw(width), draw(width)
        total = (x.float() + y.float()).to(dtype)
        norm = F.layer_norm(total.float(), (width,), weight.float(), bias.float(), 1e-5)
        fc1, fc1_bias = draw(sizes.mlp, width) * width**-0.5, draw(sizes.mlp)
        z = x.float() @ fc1.float().t() + fc1_bias.float()
        activated = z * torch.sigmoid(1.702 * z) if sizes.quick_gelu else F.gelu(z)
        found = {
            "attention": _difference(*_attention(draw, device, sizes)),
            "linear and activation": _difference(
                linear_gelu(x, fc1, fc1_bias, sizes.quick_gelu, _empty(activated, dtype)), activated
            ),
            "sum and LayerNorm": _difference(add_norm(x, y, 1.0, weight, bias, 1e-5, _empty(norm, dtype)), norm),
        }
        return {**found, "sum": _difference(x, total.float())}


def _attention(draw: Any, device: torch.device, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Of one text of two chunks: the first is seen by all of the second."""
    nodes, head = 2 * CHUNK, sizes.width // sizes.heads
    q, k, v = (draw(nodes, sizes.width) for _ in range(3))
    number = torch.arange(nodes, dtype=torch.int32, device=device)
    ancestors = torch.full((2, SLOTS), nodes, dtype=torch.int32, device=device)
    ancestors[1, :CHUNK] = number[:CHUNK]
    out = attend(q, k, v, Trie(number, torch.full_like(number, nodes), ancestors, sizes.heads), _empty(q, q.dtype))
    q, k, v = (t.float().view(nodes, sizes.heads, head).transpose(0, 1) for t in (q, k, v))
    return out, F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(0, 1).reshape(nodes, -1)


def _empty(like: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.full_like(like, torch.nan, dtype=dtype)


def _difference(found: Tensor, exact: Tensor) -> float:
    largest = float(exact.abs().max())
    return float((found.float() - exact).abs().max()) / largest if largest > 0 else math.nan
