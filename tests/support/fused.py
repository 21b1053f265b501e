"""The Triton kernels, interpreted, beside float64: run in a process of its own with TRITON_INTERPRET=1.

A case is a kernel and a dtype. Prints its error; a "broken" case has one bit of the plan wrong and must be far off.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torch.nn.functional as F

from cliptok import Tokenizer
from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder.model import quick_gelu
from cliptok.encoder.sharing.execution import Computation
from cliptok.encoder.sharing.linear_layers import Workspace
from cliptok.encoder.sharing.plan import CanonicalSize, Window, build_canonical
from cliptok.encoder.sharing.triton_kernels import Trie, linear
from cliptok.encoder.sharing.triton_kernels.add_norm import add_norm
from cliptok.encoder.sharing.triton_kernels.attention import attend
from cliptok.encoder.sharing.triton_kernels.linear import linear_gelu
from support.towers import relative

TEXTS = {
    "captions": ["a man in a red shirt", "a man in a blue shirt", "two dogs run", "a man", "two dogs", ""],
    "prompts": [f"a {kind} of a {noun}" for kind in ("photo", "bad photo") for noun in ("cat", "dog", "red bird")],
    "deep": ["a dog " * 60, "a dog " * 20, "a dog " * 20 + "and a cat", "a"],
}


def planned(texts, size=(128, 32)):
    packed = Tokenizer().encode_packed(texts, max_length=77, dtype="int32")
    window = Window(packed.input_ids, packed.offsets, 49407, 77, 49408, 0)
    start, stop, _ = window.split_canonical([size])[0]
    return build_canonical(window, start, stop, CanonicalSize(*size), 64, 96)


def attention_error(kind: str, dtype: torch.dtype, heads: int, head_size: int, broken: bool = False) -> float:
    batch = planned(TEXTS[kind])
    nodes, (_, _, _, number, end, ancestors, _) = batch.shape.padded, batch.parts()
    q, k, v = (torch.randn(nodes, heads * head_size).to(dtype) for _ in range(3))
    visible = (number[None, :] <= number[:, None]) & (number[:, None] < end[None, :])
    split = (t.double().view(nodes, heads, head_size).transpose(0, 1) for t in (q, k, v))
    exact = F.scaled_dot_product_attention(*split, attn_mask=visible).transpose(0, 1).flatten(1)
    if broken:
        end = end.clone()
        end[0] = 1  # the first token is seen by itself alone
    out = torch.full_like(q, torch.nan)
    attend(q, k, v, Trie(number, end, ancestors.view(-1, 96), heads), out)
    return relative(out, exact) if bool(out.isfinite().all()) else np.nan


def add_norm_error(dtype: torch.dtype, rows: int, width: int) -> float:
    x, y = (torch.randn(rows, width).to(dtype) for _ in range(2))
    weight, bias = (torch.randn(width).to(dtype) for _ in range(2))
    total = x.double() + y.double() / 1.702
    out = torch.full_like(x, torch.nan)
    add_norm(x, y, 1 / 1.702, weight, bias, 1e-5, out)
    exact = F.layer_norm(total, (width,), weight.double(), bias.double(), 1e-5)
    return max(relative(x, total), relative(out, exact)) if bool(out.isfinite().all()) else np.nan


def linear_error(dtype: torch.dtype, rows: int, depth: int, columns: int, quick: bool, broken: bool = False) -> float:
    x, weight = torch.randn(rows, depth).to(dtype), (torch.randn(columns, depth) * depth**-0.5).to(dtype)
    bias, out = torch.randn(columns).to(dtype), torch.full((rows, columns), torch.nan, dtype=dtype)
    z = F.linear(x.double(), weight.double(), bias.double())
    if broken:
        x = x.clone()
        x[-1, -1] += 8  # in the last step of the last tile
    linear_gelu(x, weight, bias, quick, out)
    return relative(out, quick_gelu(z) if quick else F.gelu(z)) if bool(out.isfinite().all()) else np.nan


@torch.inference_mode()
def encode_error() -> float:
    """A whole tower on a canonical batch, fused beside torch's operations."""
    torch.manual_seed(0)
    tower = TextEncoder(TextConfig(width=64, layers=2, heads=2, mlp=128, projection=48)).eval()
    batch = planned(TEXTS["captions"])
    plain, fused = (
        Computation(tower, "text_embeds", normalize=False, fused=fused)([(batch.packed, batch.shape)], Workspace())[0]
        for fused in (False, True)
    )
    return relative(fused, plain)


def main() -> None:
    torch.manual_seed(0)
    for dtype, limit in ((torch.float32, 1e-6), (torch.float16, 1e-3)):
        for kind, heads, size in (("captions", 2, 64), ("prompts", 1, 80), ("deep", 1, 64)):
            error = attention_error(kind, dtype, heads, size)
            assert error < limit, (kind, dtype, error)
            assert attention_error(kind, dtype, heads, size, broken=True) > 0.01
        for rows, width in ((3, 768), (1, 1280), (2, 96)):
            error = add_norm_error(dtype, rows, width)
            assert error < limit, (width, dtype, error)
        for rows, depth, columns, quick in ((3, 96, 200, True), (130, 64, 300, False), (65, 128, 256, True)):
            error = linear_error(dtype, rows, depth, columns, quick)
            assert error < limit, (rows, dtype, error)
            assert linear_error(dtype, rows, depth, columns, quick, broken=True) > 0.01
    linear.FEWEST_ROWS = 0
    error = encode_error()
    assert error < 2e-6, error
    print("all right")


if __name__ == "__main__":
    sys.exit(main())
