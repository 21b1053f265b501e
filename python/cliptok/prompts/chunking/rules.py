"""The rules for chunks by name, with the settings of a call: from a text in ids to its rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from cliptok.prompts.chunking import a1111, blocks, comfyui, compel
from cliptok.prompts.errors import PromptError
from cliptok.prompts.token_rows import Chunked, TokenText
from cliptok.prompts.tokens import PieceTokenizer


class Rule(NamedTuple):
    """How a text becomes rows."""

    chunk: Callable[[TokenText, int], Chunked]
    """Takes a text and how many tokens the longest text of the call has."""
    short_is_one: bool
    """Whether a text of at most 75 ids, without BREAK and with weights of at least 1, is always one row."""


def rule_for(
    name: str,
    tokenizer: PieceTokenizer,
    settings: Mapping[str, Any],
    fixed: Collection[str],
    pads_last: bool,
    refuses_empty: bool,
) -> Rule:
    """The rule of this name, one of `CHUNKINGS`.

    `pads_last` and `refuses_empty` are for "blocks": whether the last row is padded, and whether there is an error for
    a call that has no text at all.
    """
    if settings.get("emphasis") == "old":
        return Rule(lambda text, longest: _counting_all(blocks.one_row(text)), True)
    if name == "a1111":
        comma, backtrack = tokenizer.word(",</w>"), settings.get("comma_backtrack", 20)
        return Rule(lambda text, longest: a1111.chunk(text, comma, backtrack, "moved-inversion" in fixed), True)
    if name == "comfyui":
        return Rule(lambda text, longest: comfyui.chunk(text), True)
    if name == "compel":
        splitting = compel.Splitting(
            tokenizer, settings["truncate_long_prompts"], settings["split"], 38 if "short-chunks" in fixed else 1
        )
        remove = settings["downweight"] == "remove"
        return Rule(lambda text, longest: compel.chunk(text, splitting, remove), True)
    if name == "lpw":
        multiples, inner = settings["max_embeddings_multiples"], not settings.get("no_boseos_middle")
        return Rule(lambda text, longest: blocks.lpw(text, blocks.lpw_chunks(longest, multiples), inner), False)
    if name == "one-row":
        return Rule(lambda text, longest: blocks.one_row(text), True)

    def chunk_blocks(text: TokenText, longest: int) -> Chunked:
        if refuses_empty and not longest:
            raise PromptError("there is nothing to encode", remedy="give a prompt or a negative prompt with text")
        return blocks.blocks(text, longest, pads_last)

    return Rule(chunk_blocks, False)


def _counting_all(found: Chunked) -> Chunked:
    """The old emphasis shows all tokens in its count, those that are lost too."""
    found.count += found.dropped
    return found
