"""Which device it is, and what it can do: the rates of matrix products and of memory that all else is measured by."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from settings import DEVICE, Settings, median_ms

ROWS = 16384
# (columns in, columns out) of ViT-L/14's linear layers
SHAPES = ((768, 768), (768, 3072), (3072, 768))


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    found = torch.cuda.get_device_properties(DEVICE)
    yield {
        "what": "device",
        "name": found.name,
        "capability": f"{found.major}.{found.minor}",
        "multiprocessors": found.multi_processor_count,
        "memory_gib": round(found.total_memory / 2**30, 1),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "triton": _triton(),
        "computes": settings.computes,
    }
    count = settings.some(1 << 29, 1 << 16)
    source, target = (torch.empty(count, dtype=torch.float32, device=DEVICE).normal_() for _ in range(2))
    yield {"what": "copy", "bytes_per_s": 8 * count / median_ms(lambda: target.copy_(source), 5) * 1e3}
    for kind in ("float32", "float16", "bfloat16", "float8_e4m3fn"):
        for columns, out in SHAPES:
            rows = settings.some(ROWS, 64)
            try:
                product = _product(kind, rows, columns, out)
                product()
            except (RuntimeError, AttributeError) as error:
                yield {"what": "product", "dtype": kind, "refused": str(error).splitlines()[0][:100]}
                break
            loops = settings.some(20, 1)

            def looped(product: Callable[[], Any] = product, loops: int = loops) -> None:
                for _ in range(loops):
                    product()

            rate = 2.0 * rows * columns * out * loops / (median_ms(looped, 5) / 1e3)
            yield {"what": "product", "dtype": kind, "shape": [rows, columns, out], "flop_per_s": rate}


def _product(kind: str, rows: int, columns: int, out: int) -> Callable[[], Any]:
    """A linear layer's product; for 8 bits with one scale per tensor, bfloat16 out."""
    dtype = getattr(torch, kind)
    x, weight = torch.randn(rows, columns, device=DEVICE), torch.randn(out, columns, device=DEVICE) * 0.03
    x, weight = x.to(dtype), weight.to(dtype)
    if dtype.itemsize > 1:
        return lambda: torch.nn.functional.linear(x, weight)
    if torch.cuda.get_device_capability(DEVICE) < (8, 9):
        raise RuntimeError("8-bit products need compute capability 8.9")
    one = torch.ones((), device=DEVICE)
    return lambda: torch._scaled_mm(x, weight.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)


def _triton() -> str:
    try:
        import triton
    except ImportError:
        return "none"
    return str(triton.__version__)
