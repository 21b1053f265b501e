"""The weightings by name: from a text's chunks to the rows that are encoded for it and how they are summed up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from cliptok.prompts.chunking.compel import mixing_weight
from cliptok.prompts.plan import Chunks, Section
from cliptok.prompts.weighting import advanced
from cliptok.prompts.weighting.terms import ONES, Floats, RowMaker, Terms


class Rule(NamedTuple):
    """How weights act."""

    base: str
    """What a state moves away from: "zero", "empty" or "last"; "nothing" leaves states as they are."""
    mean: str | None = None
    """Over what a mean is restored: "chunk" of the batch, or "text"."""


RULES = {
    "none": Rule("nothing"),
    "scale": Rule("zero"),
    "scale-mean": Rule("zero", "chunk"),
    "scale-mean-prompt": Rule("zero", "text"),
    "empty": Rule("empty"),
    "last": Rule("last"),
    "compel": Rule("empty"),
    "advanced": Rule("empty"),
}


def rule_of(weighting: str, settings: Mapping[str, Any]) -> Rule:
    """The rule, as the call's settings change it."""
    if settings.get("skip_weighting") or settings.get("emphasis") in ("ignore", "none"):
        return RULES["none"]
    if weighting == "scale-mean" and settings.get("emphasis") == "no norm":
        return RULES["scale"]
    if weighting == "scale" and settings.get("two_prompts"):
        return RULES["last"]
    if weighting == "advanced" and settings["interpretation"] == "A1111":
        return RULES["scale-mean-prompt"]
    return RULES[weighting]


def add_terms(
    weighting: str,
    chunks: Chunks,
    first: int,
    rows: RowMaker,
    terms: Terms,
    settings: Mapping[str, Any],
    fixed: Collection[str],
) -> None:
    """Add the terms of one text for one encoder; its chunks are numbered from `first`."""
    if weighting == "advanced":
        advanced.add_terms(chunks, first, rows, terms, settings, fixed)
        return
    if weighting == "compel" and any(section.masks or section.removed for section in chunks.sections):
        for section in chunks.sections:
            _compel(chunks, section, first, rows, terms, bool(settings.get("truncate_long_prompts")))
        return
    plain = rule_of(weighting, settings) == RULES["none"]
    for number, ids in enumerate(chunks.ids):
        fixes = tuple(fix for fix in chunks.fixes if fix.chunk == number)
        terms.add(first + number, rows.add(ids, fixes=fixes), ONES if plain else chunks.weights[number])


def _compel(chunks: Chunks, section: Section, first: int, rows: RowMaker, terms: Terms, truncated: bool) -> None:
    """The text, and the text without each fragment below 1, mixed."""
    mixes = [mixing_weight(mask.weight) for mask in section.masks]
    mixes += [mixing_weight(removed.weight) for removed in section.removed]
    # compel adds these up as float32.
    weights = np.array([1.0, *mixes], np.float32)
    weights = weights / weights.sum()
    count = section.stop - section.start
    for number in range(count):
        chunk = section.start + number
        out, ids, weight = first + chunk, chunks.ids[chunk], chunks.weights[chunk]
        terms.add(out, rows.add(ids), weight, float(weights[0]))
        for mix, mask in zip(weights[1:], section.masks, strict=False):
            places = np.arange(77) + 77 * number
            hidden = (places >= mask.first) & (places <= mask.last)
            if not truncated:
                hidden[[0, 76]] = False
            terms.add(out, rows.add(ids, hidden), weight, float(mix))
        for mix, removed in zip(weights[1 + len(section.masks) :], section.removed, strict=True):
            terms.add(out, rows.add(removed.ids[number]), removed.weights[number], float(mix))


__all__ = ["Floats", "RowMaker", "Rule", "Terms", "add_terms", "rule_of"]
