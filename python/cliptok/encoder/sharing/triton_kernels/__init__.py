"""Fused kernels in Triton, for CUDA; torch's operations are their twins, and run wherever these cannot.

They run in half precision, from compute capability 8.0 on, where a first run on the device has given what torch's
operations give. `CLIPTOK_KERNELS=torch` turns them off; `CLIPTOK_KERNELS=triton` lets what fails raise.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from cliptok.encoder.model import TextModel


class Trie(NamedTuple):
    """A canonical batch's visibility, int32 and as it was planned: see `plan.Batch`."""

    number: Tensor  # (N,)
    subtree_end: Tensor  # (N,)
    ancestors: Tensor  # (chunks, P)
    heads: int


class Sizes(NamedTuple):
    """What of a tower the kernels are compiled for."""

    width: int
    heads: int
    mlp: int
    quick_gelu: bool


def chosen(tower: TextModel) -> bool:
    """Whether they run for this tower. Raises ValueError for an unknown `CLIPTOK_KERNELS`, ImportError without triton
    where it is asked for.
    """
    value = os.environ.get("CLIPTOK_KERNELS") or "auto"
    if value not in ("auto", "torch", "triton"):
        raise ValueError(f"CLIPTOK_KERNELS is {value!r}; expected torch or triton")
    device, dtype, config = tower.device, tower.dtype, tower.config
    if value == "torch" or device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        return False
    if value == "triton":
        if importlib.util.find_spec("triton") is None:
            raise ImportError(
                "CLIPTOK_KERNELS=triton needs triton, which torch's builds for CUDA on Linux bring; unset it"
            )
        return True
    return _right(device, dtype, Sizes(config.width, config.heads, config.mlp, config.activation == "quick_gelu"))


@functools.cache
def _right(device: torch.device, dtype: torch.dtype, sizes: Sizes) -> bool:
    """Whether the kernels compile, run and agree with torch's operations on this device; a warning where they do not.

    Compiling takes seconds, the first time on a machine: triton keeps what it has compiled in a folder of the user's.
    """
    if torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] < 8:
        return False
    if importlib.util.find_spec("triton") is None:
        return False
    try:
        from cliptok.encoder.sharing.triton_kernels.trial import differences

        worst = differences(device, dtype, sizes)
    except Exception as error:  # a compiler that is missing, a driver that is too old, a triton that is another
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    else:
        limit = 16 * torch.finfo(dtype).eps
        if all(difference <= limit for difference in worst.values()):
            return True
        reason = f"they differ from torch's by {worst}"
    warnings.warn(
        f"the fused kernels do not run on {device} ({reason:.200}); torch's are used, which are slower and as exact. "
        "CLIPTOK_KERNELS=torch silences this",
        RuntimeWarning,
        stacklevel=4,
    )
    return False
