"""Fused kernels in Triton, for CUDA, where `CLIPTOK_KERNELS=triton` asks for them; torch's operations are their twins.

Not the default: they have been seen right on one kind of GPU alone, and torch's have been seen right on all of them.
"""

from __future__ import annotations

import importlib.util
import os
from typing import NamedTuple

from torch import Tensor


class Trie(NamedTuple):
    """A canonical batch's visibility, int32 and as it was planned: see `plan.Batch`."""

    number: Tensor  # (N,)
    subtree_end: Tensor  # (N,)
    ancestors: Tensor  # (chunks, P)
    heads: int


def wanted() -> bool:
    """Whether the environment asks for them. Raises ValueError for another value, ImportError without triton."""
    value = os.environ.get("CLIPTOK_KERNELS") or "torch"
    if value not in ("torch", "triton"):
        raise ValueError(f"CLIPTOK_KERNELS is {value!r}; expected torch or triton")
    if value == "triton" and importlib.util.find_spec("triton") is None:
        raise ImportError("CLIPTOK_KERNELS=triton needs triton, which torch's builds for CUDA on Linux bring; unset it")
    return value == "triton"
