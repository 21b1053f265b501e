"""Scaled dot-product attention: which kernel runs."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """`softmax(q @ k.T / sqrt(d) + mask) @ v`, for q, k and v of (n, heads, rows, d); `causal` is for no mask alone.

    `mask` broadcasts to (n, heads, q's rows, k's rows). It is added, in q's dtype (see `masked_with`), or it is boolean
    and True where a query may look.

    On CUDA this calls a kernel by name: FlashAttention where causality is all the mask there is, in half precision, and
    else the memory-efficient one. Left to choose, torch takes cuDNN's on sm_90 and later, which builds a plan for every
    exact shape (55 to 440 ms each), and the switches that turn it off are the whole process's. Where these kernels are
    switched off, or do not take these tensors, torch chooses.
    """
    out: Tensor
    if not q.is_cuda or torch.compiler.is_compiling() or not _memory_efficient(q):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    if mask is None and causal and _flash(q):
        out = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, True)[0]
        return out
    if mask is not None:
        mask = masked_with(~mask, q.dtype) if mask.dtype == torch.bool else mask
        mask = mask.expand(*q.shape[:-1], k.shape[-2])
    backward = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    out = torch.ops.aten._scaled_dot_product_efficient_attention(
        q, k, v, mask, compute_log_sumexp=backward, is_causal=causal
    )[0]
    return out


def masked_with(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """The mask that `attention` adds: 0, and `dtype`'s minimum where `hidden` is true.

    Not minus infinity: a row that sees nothing stays finite then. Its last dimension is laid out in multiples of 8,
    as the memory-efficient kernel wants it.
    """
    columns = hidden.shape[-1]
    made = torch.zeros(*hidden.shape[:-1], columns + -columns % 8, dtype=dtype, device=hidden.device)[..., :columns]
    return made.masked_fill_(hidden, torch.finfo(dtype).min)


def _memory_efficient(q: Tensor) -> bool:
    enabled: bool = torch.backends.cuda.mem_efficient_sdp_enabled()  # type: ignore[no-untyped-call]
    return enabled and _takes(q.device, q.dtype, q.shape[-1])


@functools.cache
def _takes(device: torch.device, dtype: torch.dtype, size: int) -> bool:
    """Whether the kernel is in this torch and takes this dtype and head size (16-byte rows)."""
    if torch.version.hip is not None or dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return False
    if dtype == torch.bfloat16 and torch.cuda.get_device_capability(device)[0] < 8:
        return False
    return size * dtype.itemsize % 16 == 0


def _flash(q: Tensor) -> bool:
    enabled: bool = torch.backends.cuda.flash_sdp_enabled()  # type: ignore[no-untyped-call]
    return enabled and _takes_flash(q.device, q.dtype, q.shape[-1])


@functools.cache
def _takes_flash(device: torch.device, dtype: torch.dtype, size: int) -> bool:
    if torch.version.hip is not None or dtype not in (torch.float16, torch.bfloat16):
        return False
    if not torch.cuda.is_available():  # fake tensors of a device that is not there
        return False
    return torch.cuda.get_device_capability(device)[0] >= 8 and size % 8 == 0 and size <= 256
