"""A plan to tensors: for each encoder one pass over all distinct rows, then sums and joins."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cliptok.prompts.families import Family
from cliptok.prompts.layers import Layer, layer_of
from cliptok.prompts.plan import Chunks, Plan, Side
from cliptok.prompts.states import StateCache, states_of
from cliptok.prompts.summing import compose, share_ends, sum_terms
from cliptok.prompts.tokens import PieceTokenizer
from cliptok.prompts.weighting import RowMaker, Terms, add_terms, rule_of

if TYPE_CHECKING:
    from cliptok import TextEncoder


@dataclasses.dataclass
class Role:
    """One encoder with what dialects need to know about it."""

    name: str
    encoder: TextEncoder
    tokenizer: PieceTokenizer
    zero_after_end: bool
    full: bool
    """SD 2: the encoder has the block that diffusers cut off."""
    inversions: dict[str, int] = dataclasses.field(default_factory=dict)
    vectors: Tensor | None = None
    """(n, width): the vectors of all inversions, one after the other."""


@dataclasses.dataclass
class Encoding:
    """What one encoder makes of one side: for each text its states (length, width), and pooled outputs."""

    texts: list[Tensor]
    pooled: Tensor | None
    empty: Tensor
    filler: Tensor
    """(77, width): the chunk that fills shorter texts up, of the empty prompt."""


def encode_role(
    role: Role, family: Family, plan: Plan, sides: Sequence[Side], number: int, pooled: bool, cache: StateCache
) -> list[Encoding]:
    """The encoding of each side by encoder `number`. All sides go through the encoder together."""
    layers = [
        layer_of(
            plan.parts["layers"],
            family.name,
            role.name,
            role.encoder.depth,
            role.full,
            plan.settings,
            bool(side),
        )
        for side in range(len(sides))
    ]
    # Sides of the same layer are one pass.
    if len(sides) == 1 or layers[0] == layers[1]:
        found = _encode(role, plan, sides, number, layers[0], pooled, cache)
    else:
        found = [
            _encode(role, plan, [side], number, layer, pooled, cache)[0]
            for side, layer in zip(sides, layers, strict=True)
        ]
    if plan.parts["layers"] == "sdnext" and plan.settings.get("clip_skip") is not None:
        # SD.Next fills with the pipeline's own empty prompt, which knows no clip skip.
        own = layer_of("diffusers", family.name, role.name, role.encoder.depth, role.full, {}, False)
        rows = _rows(role)
        rows.empty()
        filler = states_of(role.encoder, rows, own, False, None, cache).states[0]
        found = [dataclasses.replace(one, filler=filler) for one in found]
    return found


def _rows(role: Role) -> RowMaker:
    vocabulary = role.encoder.embeddings.token_embedding.num_embeddings
    return RowMaker(role.tokenizer, role.zero_after_end, vocabulary, role.inversions)


def _encode(
    role: Role, plan: Plan, sides: Sequence[Side], number: int, layer: Layer, pooled: bool, cache: StateCache
) -> list[Encoding]:
    rows, terms = _rows(role), Terms()
    texts = [chunks[number] for side in sides for chunks in side.chunks]
    weighting, settings = plan.parts["weighting"], plan.settings
    rule = rule_of(weighting, settings)
    groups = _Groups(plan, sides, number, rule.mean)
    empty_row = rows.empty()
    firsts: list[int] = []
    total = 0
    for text, lacking in zip(texts, groups.lacking, strict=True):
        firsts.append(total)
        add_terms(weighting, text, total, rows, terms, settings, plan.fixed)
        total += len(text.ids)
        for _ in range(lacking):
            terms.add(total, empty_row)
            total += 1
    of_last = plan.parts["pooled"] == "last" and "last-pooled" not in plan.fixed
    pooled_rows = [_pooled_row(text, rows, of_last) for text in texts] if pooled else []
    found = states_of(role.encoder, rows, layer, pooled, role.vectors, cache)
    empty = found.states[empty_row]
    states = sum_terms(terms, found.states, empty, rule, groups.spans, groups.of_chunk)
    cls = settings.get("cls")
    if cls in ("copy", "merge"):
        share_ends(states, texts, firsts, role.tokenizer.end, cls == "merge")
    lengths = [len(text.ids) + lacking for text, lacking in zip(texts, groups.lacking, strict=True)]
    if any(text.is_composed for text in texts):
        states = compose(states, empty, texts, firsts)
        lengths = [text.length for text in texts]
    made = [_joined(part, text) for part, text in zip(torch.split(states, lengths), texts, strict=True)]
    ends = found.pooled[torch.tensor(pooled_rows, device=empty.device)] if found.pooled is not None else None
    result, at = [], 0
    for side in sides:
        stop = at + len(side)
        result.append(Encoding(made[at:stop], None if ends is None else ends[at:stop], empty, empty))
        at = stop
    return result


def _joined(states: Tensor, text: Chunks) -> Tensor:
    """The positions of a text that take part, one after the other."""
    flat = states.flatten(0, 1)
    if (text.spans == (0, 77)).all():
        return flat
    places = np.concatenate([np.arange(a, b) + 77 * chunk for chunk, (a, b) in enumerate(text.spans.tolist())])
    return flat[torch.from_numpy(places).to(flat.device)]


def _pooled_row(text: Chunks, rows: RowMaker, of_last: bool) -> int:
    if text.pooled_ids is not None:
        return rows.add(text.pooled_ids)
    chunk = len(text.ids) - 1 if of_last else 0
    return rows.add(text.ids[chunk], fixes=tuple(fix for fix in text.fixes if fix.chunk == chunk))


class _Groups:
    """Which chunks are one mean: of a text, or the chunks of equal number of the prompts of a batch.

    In a batch, texts that lack a chunk that others have get the empty prompt's, and it takes part in the mean.
    """

    def __init__(self, plan: Plan, sides: Sequence[Side], number: int, mean: str | None) -> None:
        alone = bool(plan.settings.get("per_prompt")) or "batch-mean" in plan.fixed
        texts = [
            (which, side.groups[row], chunks[number])
            for which, side in enumerate(sides)
            for row, chunks in enumerate(side.chunks)
        ]
        longest: dict[tuple[int, int], int] = {}
        for which, group, text in texts:
            longest[which, group] = max(longest.get((which, group), 0), len(text.ids))
        batched = mean == "chunk" and not alone and not any(text.is_composed for _, _, text in texts)
        self.lacking = [longest[which, group] - len(text.ids) if batched else 0 for which, group, text in texts]
        keys: dict[tuple[int, ...], int] = {}
        numbers: list[int] = []
        for row, ((which, group, text), lacking) in enumerate(zip(texts, self.lacking, strict=True)):
            for chunk in range(len(text.ids) + lacking):
                key = (which, group, chunk) if batched else (row, chunk if mean == "chunk" else 0)
                numbers.append(keys.setdefault(key, len(keys)))
        self.of_chunk = np.array(numbers, np.int64)
        """(chunks,)"""
        whole = np.array([[0, 77]], np.int32)
        self.spans = np.concatenate(
            [
                part
                for (_, _, text), lacking in zip(texts, self.lacking, strict=True)
                for part in (text.spans, whole.repeat(lacking, 0))
            ]
        )
        """(chunks, 2)"""


def projected(encoder: TextEncoder, pooled: Tensor) -> Tensor:
    """Pooled outputs through the text projection."""
    if encoder.text_projection is None:
        raise ValueError("the encoder of the pooled output has no projection; load it with its text_projection")
    return pooled @ encoder.text_projection.weight.to(pooled.dtype).t()
