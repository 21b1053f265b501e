"""The weightings and normalizations of ComfyUI_ADV_CLIP_emb."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from cliptok.prompts.plan import Chunks
from cliptok.prompts.weighting.terms import ONES, Bools, Floats, RowMaker, Terms

# The source calls it a comma and writes 266, which is `+</w>`.
MASK, COMMA = 266, 267


def normalized(chunks: Chunks, normalization: str) -> Floats:
    """The weights (chunks, 77) after a token normalization: none, mean, length or length+mean."""
    weights = chunks.weights.astype(np.float64)
    words = chunks.words
    if normalization.startswith("length"):
        sizes = np.bincount(words.ravel())
        sizes[0] = 1
        away = weights - 1
        weights = 1 + np.sign(away) * np.sqrt(away**2 / sizes[words])
        weights[words == 0] = 1.0
    if normalization.endswith("mean") and (words != 0).any():
        weights[words != 0] += 1 - weights[words != 0].mean()
    return weights.astype(np.float32)


def add_terms(
    chunks: Chunks, first: int, rows: RowMaker, terms: Terms, settings: Mapping[str, Any], fixed: Collection[str]
) -> Floats:
    """Add one text's terms, its chunks from number `first` on. Returns the weights that were used."""
    weights = normalized(chunks, settings["normalization"])
    text = _Text(chunks, first, rows, terms, COMMA if "mask-token" in fixed else MASK)
    mode = settings["interpretation"]
    if mode in ("comfy", "A1111"):
        text.encode(weights, 1.0)
    elif mode == "compel":
        text.down(weights, np.maximum(weights, 1))
    elif mode == "comfy++":
        text.down(weights, np.ones_like(weights))
        text.up(weights)
    else:
        most = np.float32(weights.max())
        top = np.minimum(most, np.float32(1))
        # Special tokens too: all of the row is scaled, and what is not a word is the top.
        weights = np.where(chunks.words != 0, weights / most * top, top).astype(np.float32)
        text.down(weights, np.ones_like(weights))
    return weights


class _Text:
    def __init__(self, chunks: Chunks, first: int, rows: RowMaker, terms: Terms, mask: int) -> None:
        self.chunks, self.first, self.rows, self.terms, self.mask = chunks, first, rows, terms, mask

    def encode(self, weights: Floats, scale: float, masked: Bools | None = None) -> None:
        """ComfyUI's encoding with these weights, times `scale`; ids where `masked` is true are the mask token's."""
        for number in range(len(self.chunks.ids)):
            self.terms.add(self.first + number, self.row(number, masked), weights[number], scale)

    def row(self, number: int, masked: Bools | None, length: int = 77) -> int:
        ids = self.chunks.ids[number]
        fixes = tuple(fix for fix in self.chunks.fixes if fix.chunk == number)
        if masked is not None:
            ids = np.where(masked[number], self.mask, ids).astype(np.int32)
            # A masked embedding is a masked token.
            fixes = tuple(fix for fix in fixes if not masked[number, fix.position])
        return self.rows.add(ids, fixes=fixes, length=length)

    def down(self, weights: Floats, used: Floats) -> None:
        """Weights below 1 step by step: texts with ever more words masked, mixed by the steps between the weights."""
        steps = np.unique(weights[weights < 1])
        if not len(steps):
            self.encode(used, 1.0)
            return
        self.encode(used, float(steps[0]))
        used = used.copy()
        masked = np.zeros(weights.shape, bool)
        following = np.append(steps[1:], np.float32(1))
        for step, after in zip(steps, following, strict=True):
            masked |= weights == step
            used[masked] = 1
            self.encode(used, float(after) - float(step), masked)

    def up(self, weights: Floats) -> None:
        """For each word above 1 how the text changes by it, on its places."""
        words = self.chunks.words
        for word in np.unique(words[weights > 1]):
            if word == 0:
                continue
            masked = words == word
            for number in np.flatnonzero(masked.any(axis=1)).tolist():
                scale = np.where(masked[number], weights[number] - 1, 0).astype(np.float32)
                self.terms.add(self.first + number, self.row(number, None), ONES, scale)
                # What comes after the word is not asked for, and it takes most of the time.
                length = int(np.flatnonzero(masked[number])[-1]) + 1
                self.terms.add(self.first + number, self.row(number, masked, length), ONES, -scale)
