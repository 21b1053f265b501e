"""The steps of a run, the most telling first, and how long each may take."""

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from settings import Settings


class Step(NamedTuple):
    """A step is a module's `run`, which gives its rows one by one. What it raises is its failure."""

    module: str  # imported where the step runs: torch is in none of the others
    seconds: float

    def run(self, settings: "Settings") -> Iterator[dict[str, Any]]:
        rows: Iterator[dict[str, Any]] = importlib.import_module(self.module).run(settings)
        return rows


STEPS = {
    "device": Step("device", 30),
    "tests": Step("suite", 75),
    "kernels": Step("kernels", 60),
    "shapes": Step("shapes", 45),
    "texts": Step("texts", 120),
    "conditioning": Step("conditioning", 75),
    "fused": Step("fused", 75),
    "eight_bit": Step("eight_bit", 60),
    "layers": Step("layers", 45),
    "compiled": Step("compiled", 75),
}
