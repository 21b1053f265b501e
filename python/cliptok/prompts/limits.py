"""How much a prompt may ask for."""

from __future__ import annotations

import dataclasses

from cliptok.prompts.errors import PromptError

LARGEST, HALF_LARGEST = 3.4028234663852886e38, 65519.99
"""Of float32 and of float16."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """`depth` brackets inside one another, and `chunks` of 77 ids per prompt. None is no limit."""

    depth: int | None = 1000
    chunks: int | None = 64

    def __post_init__(self) -> None:
        for name in ("depth", "chunks"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"max_{name} must be at least 1, not {value}")

    def check_depth(self, depth: int, text: str, start: int) -> None:
        if self.depth is not None and depth > self.depth:
            raise PromptError(
                f"more than {self.depth} brackets are open",
                text=text,
                start=start,
                remedy="close some, or raise max_depth",
            )

    def check_chunks(self, chunks: int) -> None:
        if self.chunks is not None and chunks > self.chunks:
            raise PromptError(
                f"the prompt takes {chunks} chunks of 77 ids, more than {self.chunks}",
                remedy="shorten it, or raise max_chunks",
            )


def check_weight(weight: float, text: str, start: int, most: float = LARGEST) -> None:
    """Refuse a weight that is no number in float32, or in float16 where that is the largest."""
    if not -most <= weight <= most:
        raise PromptError(
            f"the weight {weight:g} is not finite in {'float32' if most == LARGEST else 'float16'}",
            text=text,
            start=start,
            remedy="write a finite weight, or fewer brackets",
        )
