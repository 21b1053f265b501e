"""Devices and dtypes by their names, and tensors to a device."""

from typing import Any

import torch
from torch import Tensor


def pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor where a copy to `device` need not wait for it: in pinned memory if that is CUDA, else as it is."""
    return tensor.pin_memory() if device.type == "cuda" and tensor.device.type == "cpu" else tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`; from the CPU to CUDA without synchronisation.

    Only there: an asynchronous copy from pageable memory to MPS reads what the memory holds later on.
    """
    return pinned(tensor, device).to(device, non_blocking=device.type == "cuda")


def checked_device(device: Any) -> torch.device:
    """The device. Raises ValueError where torch knows no such device or cannot find it here."""
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device is {str(device)!r}; expected cpu, cuda, cuda:1 or another of torch's") from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {str(device)!r}, but torch finds no CUDA device here; leave it out or take cpu")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device is {str(device)!r}, but torch finds {torch.cuda.device_count()} CUDA devices")
    return found


def checked_dtype(dtype: Any) -> torch.dtype | None:
    """A floating dtype, also by its name; None for "auto". Raises TypeError for anything else."""
    if dtype is None or dtype == "auto":
        return None
    found = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise TypeError(f"dtype is {dtype!r}; expected one of torch's floating dtypes, such as torch.float16")
    return found
