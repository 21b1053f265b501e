"""Texts of unequal length to one length, which is what a pipeline takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def filled(texts: Sequence[Tensor], rule: str, empty: Tensor) -> Tensor:
    """(texts, length, width) from tensors (length of each, width).

    `rule` is "empty" (the empty prompt's chunk (77, width) again and again), "zeros", "last" (the last state again and
    again) or "repeat" (each text as a whole until all are equally long, which changes nothing for what attends to it).
    """
    lengths = [len(text) for text in texts]
    if len(set(lengths)) == 1:
        return torch.stack(list(texts))
    if rule == "repeat":
        length = math.lcm(*lengths)
        return torch.stack([text.repeat(length // len(text), 1) for text in texts])
    length = max(lengths)
    return torch.stack([torch.cat([text, _filling(text, length - len(text), rule, empty)]) for text in texts])


def _filling(text: Tensor, size: int, rule: str, empty: Tensor) -> Tensor:
    if rule == "zeros":
        return text.new_zeros(size, text.shape[1])
    if rule == "last":
        return text[-1:].expand(size, -1)
    if size % 77:
        raise ValueError(
            f"texts differ by {size} positions, which chunks of 77 do not fill; "
            'pass fill="zeros" or fill="last", or encode them one by one'
        )
    return empty.repeat(size // 77, 1)
