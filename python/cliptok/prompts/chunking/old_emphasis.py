"""AUTOMATIC1111's old emphasis: brackets are found among the tokens, not in the text."""

from __future__ import annotations

from functools import cache
from typing import Any

from cliptok.prompts.grammars.emphasis import UP
from cliptok.prompts.token_rows import Segment, TokenText
from cliptok.prompts.tokens import PieceTokenizer


def old_emphasis(text: TokenText, tokenizer: PieceTokenizer) -> TokenText:
    """The ids with their weights: tokens with brackets change a running factor, and go."""
    factors = _bracket_tokens(tokenizer.tokenizer)
    ids: list[int] = []
    segments: list[Segment] = []
    factor, start = 1.0, 0
    for segment in text.segments:
        begun = len(ids)
        for id in text.ids[start : start + segment.length]:
            change = factors.get(id)
            if change is None:
                ids.append(id)
                continue
            segments.append(segment._replace(length=len(ids) - begun, weight=factor))
            begun = len(ids)
            factor *= change
        segments.append(segment._replace(length=len(ids) - begun, weight=factor))
        start += segment.length
    return TokenText(ids, segments, set())


@cache
def _bracket_tokens(tokenizer: Any) -> dict[int, float]:
    """What each token with brackets multiplies by, without those that cancel out."""
    found: dict[int, float] = {}
    for token, id in tokenizer.get_vocab().items():
        factor = 1.0
        for character in token:
            if character in "(]":
                factor *= UP
            elif character in ")[":
                factor /= UP
        if factor != 1.0:
            found[id] = factor
    return found
