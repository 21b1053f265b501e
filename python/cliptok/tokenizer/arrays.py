"""The arrays that ids are written into: what `dtype` and `out` may be."""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt  # It takes longer to import than a thousand captions take.

_LARGEST = {"uint16": (1 << 16) - 1, "int32": (1 << 31) - 1, "int64": (1 << 63) - 1}
DTYPES = tuple(_LARGEST)


def dtype_name(dtype: Any, ids: int) -> str:
    """The name of `dtype` (itself a name, a NumPy dtype or a torch dtype): uint16, int32 or int64.

    Raises ValueError for any other, and for one too narrow for `ids` different ids.
    """
    if type(dtype) is str and dtype in _LARGEST:
        name = dtype  # Without NumPy's own look-up, which takes as long as a text.
    else:
        try:
            found = np.dtype(str(dtype).removeprefix("torch.") if type(dtype).__module__ == "torch" else dtype)
        except TypeError:
            found = None
        if found is None or found.name not in DTYPES or not found.isnative:
            raise ValueError(f"dtype is {dtype!r}; choose one of {', '.join(DTYPES)}")
        name = found.name
    _check_width(name, ids, "dtype")
    return name


def as_out(out: Any, rows: int, max_length: int, ids: int) -> "npt.NDArray[Any]":
    """The NumPy array behind `out`, a NumPy array or a CPU torch tensor of shape (rows, max_length).

    Raises TypeError for another type and ValueError for a shape, dtype, device or layout that cannot be written.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(out, torch.Tensor):
        if out.device.type != "cpu":
            raise ValueError(f"out is on {out.device}; expected a tensor on the CPU, then move it")
        if not out.is_contiguous():
            raise ValueError("out is not contiguous; pass a contiguous tensor")
        if str(out.dtype).removeprefix("torch.") not in DTYPES:
            raise ValueError(f"out has dtype {out.dtype}; choose one of {', '.join(DTYPES)}")
        out = out.numpy()
    elif not isinstance(out, np.ndarray):
        raise TypeError(f"out is of type {type(out).__name__}; expected a NumPy array or a CPU torch tensor")
    if out.shape != (rows, max_length):
        raise ValueError(f"out has shape {out.shape}; expected {(rows, max_length)}, texts by max_length")
    if out.dtype.name not in DTYPES or not out.dtype.isnative:
        raise ValueError(f"out has dtype {out.dtype}; choose one of {', '.join(DTYPES)}")
    if not out.flags.c_contiguous:
        raise ValueError("out is not C-contiguous; pass np.ascontiguousarray(out) or a fresh array")
    if not out.flags.writeable:
        raise ValueError("out is read-only; pass a writable array")
    _check_width(out.dtype.name, ids, "out")
    array: npt.NDArray[Any] = out
    return array


def _check_width(name: str, ids: int, what: str) -> None:
    if ids - 1 > _LARGEST[name]:
        raise ValueError(f"{what} is {name}, too narrow for ids up to {ids - 1}; use int32 or int64")
