"""Placeholder tokens of several vectors: a prompt names one, the tokenizer needs all of its tokens written out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any


def has_placeholders(tokenizer: Any) -> bool:
    """Whether `tokenizer` has a placeholder of several vectors."""
    added = getattr(tokenizer, "added_tokens_encoder", {})
    return any(f"{token}_1" in added for token in added)


def expand_placeholders(tokenizer: Any, texts: Iterable[str]) -> list[str]:
    """Write every placeholder of several vectors as all of its tokens, unless the text does so already."""
    texts = list(texts)
    added = getattr(tokenizer, "added_tokens_encoder", {})
    heads = sorted((t for t in added if f"{t}_1" in added), key=len, reverse=True)
    if not heads:
        return texts
    expansions = {}
    for head in heads:
        count = 1
        while f"{head}_{count}" in added:
            count += 1
        expansions[head] = " ".join([head, *(f"{head}_{i}" for i in range(1, count))])
    # The longest first: `<a>_1` is not `<a>` with something after it.
    names = sorted(added, key=len, reverse=True)
    written = "|".join(re.escape(expansion) for expansion in expansions.values())
    pattern = re.compile(f"{written}|" + "|".join(re.escape(name) for name in names))
    return [pattern.sub(lambda found: expansions.get(found[0], found[0]), text) for text in texts]
