"""AUTOMATIC1111's old emphasis: brackets are found among the tokens, not in the text."""

from __future__ import annotations

from functools import cache
from typing import Any

from cliptok.prompts.grammars.emphasis import UP
from cliptok.prompts.token_rows import Tokens
from cliptok.prompts.tokens import PieceTokenizer


def old_emphasis(pieces: list[Tokens], tokenizer: PieceTokenizer) -> list[Tokens]:
    """The ids with their weights: tokens with brackets change a running factor, and go."""
    factors = _bracket_tokens(tokenizer.tokenizer)
    result: list[Tokens] = []
    factor = 1.0
    for tokens in pieces:
        ids: list[int] = []
        for id in tokens.ids:
            change = factors.get(id)
            if change is None:
                ids.append(id)
                continue
            result.append(tokens._replace(ids=ids, weight=factor))
            ids = []
            factor *= change
        result.append(tokens._replace(ids=ids, weight=factor))
    return result


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
