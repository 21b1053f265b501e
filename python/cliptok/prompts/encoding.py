"""A plan to tensors: for each encoder one pass over all distinct rows, then sums and joins."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cliptok.prompts.families import Family
from cliptok.prompts.layers import layer_of
from cliptok.prompts.plan import Chunks, Plan, Side
from cliptok.prompts.states import StateCache, states_of
from cliptok.prompts.summing import compose, is_composed, share_ends, sum_terms
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


def encode_role(
    role: Role, family: Family, plan: Plan, sides: Sequence[Side], number: int, pooled: bool, cache: StateCache
) -> list[Encoding]:
    """The encoding of each side by encoder `number`. All sides go through the encoder together."""
    layers = [
        layer_of(
            plan.parts["layers"], family.name, role.name, role.encoder.config.layers, role.full, plan.settings, bool(side)
        )
        for side in range(len(sides))
    ]
    # Sides of the same layer are one pass.
    if len(sides) == 1 or layers[0] == layers[1]:
        return _encode(role, plan, sides, number, layers[0], pooled, cache)
    return [
        _encode(role, plan, [side], number, layer, pooled, cache)[0]
        for side, layer in zip(sides, layers, strict=True)
    ]


def _encode(
    role: Role, plan: Plan, sides: Sequence[Side], number: int, layer: Any, pooled: bool, cache: StateCache
) -> list[Encoding]:
    rows = RowMaker(role.tokenizer, role.zero_after_end, role.encoder.embeddings.token_embedding.num_embeddings, role.inversions)
    terms = Terms()
    texts = [chunks[number] for side in sides for chunks in side.chunks]
    firsts, total = [], 0
    for text in texts:
        add_terms(plan.parts["weighting"], text, total, rows, terms, plan.settings, plan.fixed)
        firsts.append(total)
        total += len(text.ids)
    empty_row = rows.empty()
    pooled_rows = [_pooled_row(text, rows, plan.parts["pooled"]) for text in texts] if pooled else []
    found = states_of(role.encoder, rows, layer, pooled, role.vectors, cache)
    empty = found.states[empty_row]
    rule = rule_of(plan.parts["weighting"], plan.settings)
    spans = np.concatenate([text.spans for text in texts])
    groups, missing = _groups(sides, number, texts, rule.mean, plan)
    states = sum_terms(terms, found.states, empty, rule, spans, groups, missing)
    cls = plan.settings.get("cls")
    if cls in ("copy", "merge"):
        share_ends(states, texts, firsts, role.tokenizer.end, cls == "merge")
    if any(is_composed(text) for text in texts):
        states = compose(states, empty, texts, firsts)
        lengths = [text.length for text in texts]
    else:
        lengths = [len(text.ids) for text in texts]
    at = 0
    made: list[Tensor] = []
    for text, length in zip(texts, lengths, strict=True):
        made.append(_joined(states[at : at + length], text, length))
        at += length
    ends = found.pooled[torch.tensor(pooled_rows, device=empty.device)] if found.pooled is not None else None
    result, at = [], 0
    for side in sides:
        stop = at + len(side)
        result.append(Encoding(made[at:stop], None if ends is None else ends[at:stop], empty))
        at = stop
    return result


def _joined(states: Tensor, text: Chunks, length: int) -> Tensor:
    """The positions of a text that take part, one after the other."""
    flat = states.flatten(0, 1)
    if (text.spans == (0, 77)).all():
        return flat
    places = np.concatenate([np.arange(a, b) + 77 * chunk for chunk, (a, b) in enumerate(text.spans.tolist())])
    return flat[torch.from_numpy(places).to(flat.device)]


def _pooled_row(text: Chunks, rows: RowMaker, rule: str) -> int:
    if text.pooled_ids is not None:
        return rows.add(text.pooled_ids)
    chunk = len(text.ids) - 1 if rule == "last" else 0
    return rows.add(text.ids[chunk], fixes=tuple(fix for fix in text.fixes if fix.chunk == chunk))


def _groups(
    sides: Sequence[Side], number: int, texts: list[Chunks], mean: str | None, plan: Plan
) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """For each chunk the mean that it takes part in, and for each mean the empty chunks that it lacks."""
    if mean is None:
        return np.zeros(sum(len(text.ids) for text in texts), np.int64), np.zeros(1, np.int64)
    alone = mean == "text" or plan.settings.get("per_prompt") or "batch-mean" in plan.fixed
    keys: dict[tuple[int, ...], int] = {}
    members: dict[tuple[int, int], int] = {}
    groups: list[int] = []
    batches: list[tuple[int, int]] = []
    for which, side in enumerate(sides):
        for text, (group, chunks) in enumerate(zip(side.groups, side.chunks, strict=True)):
            batch = (which, -1 - text if alone else group)
            members[batch] = members.get(batch, 0) + 1
            for chunk in range(len(chunks[number].ids)):
                key = (*batch, 0 if mean == "text" else chunk)
                if key not in keys:
                    keys[key] = len(keys)
                    batches.append(batch)
                groups.append(keys[key])
    missing = np.zeros(len(keys), np.int64)
    if mean == "chunk":
        present = np.bincount(groups, minlength=len(keys))
        missing = np.array([members[batch] for batch in batches]) - present
    return np.array(groups, np.int64), missing


def projected(encoder: TextEncoder, pooled: Tensor) -> Tensor:
    """Pooled outputs through the text projection."""
    if encoder.text_projection is None:
        raise ValueError("the encoder of the pooled output has no projection; load it with its text_projection")
    return pooled @ encoder.text_projection.weight.to(pooled.dtype).t()
