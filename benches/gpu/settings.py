"""What all steps share: how much to do, whether there is a device that computes, and time on it."""

import dataclasses
import functools
import statistics
from collections.abc import Callable
from typing import Any

import torch
from encoder_peer import seconds

DEVICE = torch.device("cuda")


@dataclasses.dataclass(frozen=True)
class Settings:
    smoke: bool
    wrong: list[str] = dataclasses.field(default_factory=list)
    """What was found wrong since the last row."""

    @functools.cached_property
    def computes(self) -> bool:
        """Whether kernels do something: on a runtime that only records them, no number means anything."""
        if not torch.cuda.is_available():
            raise SystemExit("torch finds no CUDA device here")
        return float(torch.full((64,), 3.0, device=DEVICE).square().sum()) == 576

    @property
    def exact(self) -> torch.dtype:
        """What to compare with: the runtime that records knows no products in float64."""
        return torch.float64 if self.computes else torch.float32

    @property
    def sizes(self) -> dict[str, int]:
        """What differs from the towers' own sizes."""
        return {"width": 64, "layers": 2, "heads": 1, "mlp": 256} if self.smoke else {}

    def some(self, full: int, smoke: int) -> int:
        return smoke if self.smoke else full


def median_ms(run: Callable[[], Any], count: int) -> float:
    """Of a call, with the device idle before and after, in milliseconds."""
    return 1e3 * statistics.median(seconds(DEVICE, run) for _ in range(count))


def relative(found: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest difference over the largest magnitude, NaN if anything is not finite."""
    found, exact = found.double(), exact.to(found.device).double()
    worst = (found - exact).abs().max() / exact.abs().max()
    return float(worst) if bool(found.isfinite().all()) else float("nan")


def check(error: float, limit: float, what: str, settings: Settings) -> float:
    """The error. One that is not below the limit, NaN too, is noted: its row is no result, and its step fails."""
    if settings.computes and not error < limit:
        settings.wrong.append(f"{what} is off by {error:.1e}, the limit is {limit:.0e}")
    return error
