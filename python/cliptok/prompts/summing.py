"""Terms to the states of chunks, and chunks to the states of texts: a few tensor operations for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cliptok.prompts.plan import Chunks, Int32
from cliptok.prompts.weighting import Floats, Rule, Terms

Int64 = npt.NDArray[np.int64]


def sum_terms(terms: Terms, states: Tensor, empty: Tensor, rule: Rule, spans: Int32, groups: Int64) -> Tensor:
    """The states (chunks, 77, width) of all chunks.

    `states` are of the distinct rows, `empty` is the empty prompt's. `spans` (chunks, 2) says which positions count
    for a mean, and `groups` (chunks,) what is one mean.
    """
    device = states.device
    row, out = torch.tensor(terms.row, device=device), np.array(terms.out, np.int64)
    weight = np.stack(terms.weight)
    scale = np.stack(terms.scale)
    count = len(spans)
    z = states[row]
    plain = z
    which = np.flatnonzero((weight != 1).any(axis=1))
    if len(which):
        plain = z.clone() if rule.mean else z
        at = torch.from_numpy(which).to(device)
        w = torch.from_numpy(weight[which]).to(device)[:, :, None]
        part = z[at]
        if rule.base == "zero":
            moved = part * w
        else:
            base = empty if rule.base == "empty" else part[torch.arange(len(part)), _last(spans, out[which], device)]
            base = base if rule.base == "empty" else base[:, None]
            # A weight of 1 leaves the state as it is, not only nearly.
            moved = torch.where(w == 1, part, base + (part - base) * w)
        z.index_copy_(0, at, moved)
    result, before = (_gathered(x, out, scale, count) for x in (z, plain))
    if rule.mean and len(which):
        result = result * _factors(before, result, spans, groups)[:, None, None]
    return result


def _last(spans: Int32, out: Int64, device: torch.device) -> Tensor:
    return torch.from_numpy(spans[out, 1] - 1).to(device, torch.int64)


def _gathered(z: Tensor, out: Int64, scale: Floats, count: int) -> Tensor:
    if len(out) == count and (scale == 1).all() and (out == np.arange(count)).all():
        return z
    factors = torch.from_numpy(scale).to(z.device)[:, :, None]
    result = torch.zeros(count, *z.shape[1:], dtype=z.dtype, device=z.device)
    return result.index_add_(0, torch.from_numpy(out).to(z.device), z * factors)


def _factors(before: Tensor, after: Tensor, spans: Int32, groups: Int64) -> Tensor:
    """For each chunk the mean of its group before weighting divided by the mean after it."""
    device = before.device
    places = np.arange(77)
    counts = torch.from_numpy((places >= spans[:, :1]) & (places < spans[:, 1:])).to(device)
    group = torch.from_numpy(groups).to(device)

    def sums(x: Tensor) -> Tensor:
        each = (x.sum(dim=-1, dtype=torch.float64) * counts).sum(dim=-1)
        return torch.zeros(int(groups.max()) + 1, dtype=torch.float64, device=device).index_add_(0, group, each)

    return (sums(before) / sums(after)).to(before.dtype)[group]


def compose(states: Tensor, empty: Tensor, texts: Sequence[Chunks], firsts: Sequence[int]) -> Tensor:
    """Chunks as the texts' sections place, mix and weigh them: (chunks, 77, width), text after text.

    A text takes `length` chunks; its own are numbered from its entry of `firsts`.
    """
    total = sum(text.length for text in texts)
    result = torch.zeros(total, *states.shape[1:], dtype=states.dtype, device=states.device)
    start = 0
    for text, first in zip(texts, firsts, strict=True):
        seen: set[int] = set()
        for section in text.sections:
            at = start + section.first
            own = section.stop - section.start
            begin = first + section.start
            factor = section.mix * section.weight
            result[at : at + own] += states[begin : begin + own] * factor
            if own < section.length:
                result[at + own : at + section.length] += empty * factor
            if section.weight != 1 and section.first not in seen:
                result[at : at + section.length] += empty * (1 - section.weight)
            seen.add(section.first)
        start += text.length
    return result


def share_ends(states: Tensor, texts: Sequence[Chunks], firsts: Sequence[int], end: int, merge: bool) -> None:
    """compel's options for the state of the first end of every chunk: that of the first chunk, or the mean of all."""
    for text, first in zip(texts, firsts, strict=True):
        for section in text.sections:
            if section.stop - section.start < 2:
                continue
            chunks = torch.arange(first + section.start, first + section.stop, device=states.device)
            places = torch.from_numpy((text.ids[section.start : section.stop] == end).argmax(axis=1)).to(states.device)
            ends = states[chunks, places]
            states[chunks, places] = ends.mean(dim=0) if merge else ends[0]
