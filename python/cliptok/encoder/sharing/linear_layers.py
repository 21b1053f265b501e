"""Linear layers over many rows: which dtype to compute in, and which library's GEMM is the fastest.

oneDNN's GEMM applies an activation before it rounds and stores. On CPUs with AVX-512 it is also the faster one: MKL
runs its AVX2 kernels on AMD's CPUs, at half of oneDNN's rate in float32. With AVX2 alone MKL is faster.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cliptok.encoder.sharing.eight_bit import EightBit, EightBitRows, product, quantized


class Affine(NamedTuple):
    """Weight and bias of a linear layer or a LayerNorm, in the compute dtype."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layer: nn.Linear | nn.LayerNorm, dtype: torch.dtype) -> Affine:
        return cls(layer.weight.to(dtype), layer.bias.to(dtype))


# activation -> oneDNN's name and algorithm
_ONEDNN_ACTIVATION = {None: ("none", ""), "silu": ("swish", ""), "gelu": ("gelu", "none")}


class Workspace:
    """Buffers that one batch after another uses again: on a CPU every fresh large tensor costs page faults."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, int], Tensor] = {}

    def take(self, name: str, rows: int, columns: int, like: Tensor) -> Tensor:
        """A (rows, columns) buffer of `like`'s dtype and device, its content undefined; one per name and width."""
        buffer = self._buffers.get((name, columns))
        if buffer is None or buffer.shape[0] < rows or buffer.dtype != like.dtype or buffer.device != like.device:
            buffer = self._buffers[name, columns] = like.new_empty(rows, columns)
        return buffer[:rows]


def compute_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype to compute in: float32 for half precision on CPUs without instructions for it.

    There oneDNN's and ATen's bf16 and fp16 GEMMs are emulated, at a tenth to a half of float32's rate. Weights keep
    their dtype and are converted a layer at a time; results are the more exact for it.
    """
    if device.type != "cpu" or dtype not in (torch.bfloat16, torch.float16):
        return dtype
    return dtype if _has_instructions(dtype) else torch.float32


@functools.cache
def _has_instructions(dtype: torch.dtype) -> bool:
    name = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}[dtype]
    supported: Callable[[], bool] | None = getattr(torch.ops.mkldnn, name, None)
    if supported is None or not supported():
        return False
    if dtype == torch.bfloat16 and torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        # oneDNN also says yes to AVX-512 without the bf16 extension, and emulates.
        instructions: Callable[[], bool] | None = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return instructions is not None and instructions()
    return True


@functools.cache
def _onednn_linear() -> Callable[..., Tensor] | None:
    built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not built or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def _onednn(x: Tensor) -> Callable[..., Tensor] | None:
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return None
    return _onednn_linear() if x.dtype == torch.float32 or _has_instructions(x.dtype) else None


def linear(
    x: Tensor | EightBitRows,
    layer: Affine | EightBit,
    work: Workspace,
    name: str,
    activation: str | None = None,
    scale: float = 1.0,
    bias: float = 1.0,
) -> Tensor:
    """`activation(scale * x @ weight.T + bias * layer.bias)`, with the activation None, "silu" or "gelu".

    The result may be the workspace's buffer `name`. In 8 bits there are no factors and no activation; the result has
    the dtype of the layer's bias.
    """
    if isinstance(layer, EightBit):
        return product(quantized(x, layer.weight.dtype), layer, layer.bias.dtype)
    assert isinstance(x, Tensor)
    if (onednn := _onednn(x)) is not None:
        kind, algorithm = _ONEDNN_ACTIVATION[activation]
        x = x if scale == 1.0 else x * scale
        return onednn(x, layer.weight, layer.bias if bias == 1.0 else layer.bias * bias, kind, [], algorithm)
    out = work.take(name, x.shape[0], len(layer.weight), x)
    # Not `beta=bias`: with a factor cuBLAS does not add a bias itself, and gets a copy of it for every row to read.
    scaled = layer.bias if bias == 1.0 else layer.bias * bias
    torch.addmm(scaled, x, layer.weight.t(), alpha=scale, out=out)
    if activation == "silu":
        F.silu(out, inplace=True)
    elif activation == "gelu":
        torch.ops.aten.gelu_(out)
    return out


def add_linear_(
    residual: Tensor, x: Tensor | EightBitRows, layer: Affine | EightBit, work: Workspace, scale: float = 1.0
) -> Tensor:
    """`residual += scale * x @ weight.T + layer.bias`. In float32 MKL's GEMM does the sum; in half precision that
    would round the large residual twice.
    """
    if isinstance(layer, EightBit):
        return residual.add_(linear(x, layer, work, "sum", scale=scale))
    assert isinstance(x, Tensor)
    if _onednn(x) is not None:
        return residual.add_(linear(x, layer, work, "sum", bias=1 / scale), alpha=scale)
    if x.dtype != torch.float32:
        return residual.add_(linear(x, layer, work, "sum", scale=scale))
    residual += layer.bias
    return residual.addmm_(x, layer.weight.t(), alpha=scale)
