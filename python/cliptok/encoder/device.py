"""Tensors to a device."""

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
