"""Which tensors can be weights, and which can be the vectors of an embedding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MAX_VECTORS = 1024
"""The most vectors of one textual inversion. A prompt's chunk holds 75 tokens."""

MAX_TOKEN = 1000
"""Characters of the token of a textual inversion."""


def fault(value: Any) -> str | None:
    """Why a tensor, or any of a dtype, cannot be weights; None for dense floating-point numbers with values."""
    dtype: torch.dtype = value if isinstance(value, torch.dtype) else value.dtype
    if isinstance(value, Tensor):
        if value.is_nested or value.layout is not torch.strided:
            return f"{'nested' if value.is_nested else value.layout}, not dense"
        if value.is_meta:
            return "on the meta device, without values"
    if dtype.is_complex:
        return f"complex, {dtype}"
    return None if dtype.is_floating_point else f"integers, {dtype}"


def checked_vectors(value: Any, where: str, width: int, dtype: torch.dtype) -> Tensor:
    """The vectors (n, width) of an embedding; one vector may be given as (width,).

    Raises ValueError that says what else `value` is, or that it is not finite in `dtype`.
    """
    if not isinstance(value, Tensor):
        raise ValueError(f"{where} has {'null' if value is None else type(value).__name__} where its vectors should be")
    if (found := fault(value)) is not None:
        raise ValueError(f"{where} has vectors that are {found}; expected floating-point numbers (n, {width})")
    if value.ndim not in (1, 2) or 0 in value.shape:
        raise ValueError(f"{where} has vectors of shape {tuple(value.shape)}; expected (n, {width})")
    vectors = value.detach().reshape(-1, value.shape[-1])
    if vectors.shape[1] != width:
        raise ValueError(f"{where} has vectors of width {vectors.shape[1]}, but the encoder's width is {width}")
    if len(vectors) > MAX_VECTORS:
        raise ValueError(f"{where} has {len(vectors):,} vectors; at most {MAX_VECTORS:,} are read")
    if not bool(torch.isfinite(vectors.to(dtype)).all()):
        raise ValueError(f"{where} has vectors that are not finite in {dtype}")
    return vectors
