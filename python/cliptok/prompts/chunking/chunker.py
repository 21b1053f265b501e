"""Trees of a batch to chunks, by the rule of a dialect."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from cliptok.prompts.chunking import comfyui
from cliptok.prompts.chunking.column import Column
from cliptok.prompts.chunking.rules import rule_for
from cliptok.prompts.dialects.dialect import Dialect
from cliptok.prompts.errors import PromptError, PromptWarning, place, places
from cliptok.prompts.limits import Limits
from cliptok.prompts.plan import Chunks, Side
from cliptok.prompts.token_rows import PLACES
from cliptok.prompts.tokens import PieceTokenizer
from cliptok.prompts.tree import Notice, Parsed

_Trees = list[tuple[Parsed, ...]]


class Chunker:
    """The rule of one dialect with the settings of one call."""

    def __init__(
        self,
        dialect: Dialect,
        tokenizers: Mapping[str, PieceTokenizer],
        settings: Mapping[str, Any],
        fixed: Collection[str],
        limits: Limits,
        inversions: Mapping[str, Mapping[str, int]],
    ) -> None:
        self.dialect, self.settings, self.fixed, self.limits = dialect, settings, fixed, limits
        self.tokenizers, self.inversions = tokenizers, inversions
        self.rule = dialect.chunking
        self.two_prompts = bool(settings.get("two_prompts"))

    def chunk(self, sides: list[Side], trees: list[_Trees], warnings: list[list[PromptWarning]]) -> None:
        """Fill in the chunks of all sides, and add warnings about what is lost.

        Raises PromptError for too many chunks, and where the tool's encoders would not fit together.
        """
        columns = [
            self._column(role, {id(each[number]): each[number] for side in trees for each in side})
            for number, role in enumerate(self.tokenizers)
        ]
        longest = [column.longest for column in columns]
        chunks = [
            column.chunks(max(longest) if self.two_prompts else own)
            for column, own in zip(columns, longest, strict=True)
        ]
        for which, (side, side_trees) in enumerate(zip(sides, trees, strict=True)):
            for row, each in enumerate(side_trees):
                found = tuple([column[id(tree)] for column, tree in zip(chunks, each, strict=True)])
                try:
                    self._check(found)
                except PromptError as error:
                    raise error.located(self.dialect.name, row) from None
                side.chunks.append(found)
                warnings[which] += self._lost(row, each[0], found[0])
            if self.dialect.pooled == "raw" and (len(self.tokenizers) > 1 or "g" in self.tokenizers):
                self._add_raw_pooled(side, side_trees)

    def _column(self, role: str, trees: Mapping[int, Parsed]) -> Column:
        # sd_embed leaves the last row short for SD 1 unless it is told otherwise.
        pads_last = self.rule == "padded-blocks"
        if len(self.tokenizers) == 1 and role == "l":
            pads_last = pads_last and self.settings.get("pad_last_block", True)
        rule = rule_for(
            self.rule, self.tokenizers[role], self.settings, self.fixed, pads_last, self.dialect.name == "lpw-xl"
        )
        half = bool(self.settings.get("half_weights")) and not self.two_prompts
        return Column(trees, self.rule, rule, self.tokenizers[role], self.settings, self.inversions[role], half)

    def _check(self, found: Sequence[Chunks]) -> None:
        for chunks in found:
            self.limits.check_chunks(max(chunks.length, len(chunks.ids)))
        if len(found) == 1 or self.rule in ("comfyui", "compel", "one-row", "lpw"):
            return
        one, two = found
        if not np.array_equal(one.spans, two.spans):
            raise PromptError(
                f"the encoders need different chunks, {one.count} tokens and {two.count}",
                remedy="take special tokens out of the text, and '!' where a tokenizer pads with it",
            )
        if self.rule in ("blocks", "padded-blocks") and not self.two_prompts:
            two.weights = one.weights

    def _lost(self, row: int, tree: Parsed, chunks: Chunks) -> list[PromptWarning]:
        warnings: list[PromptWarning] = []
        if self.rule == "comfyui" and comfyui.EMBEDDING in tree.text:
            found: list[Notice] = []
            names = self.inversions[next(iter(self.tokenizers))]
            for text, (start, _) in zip(tree.pieces.texts, tree.pieces.spans, strict=True):
                comfyui.words(text, start, names, found)
            at = places(tree.text, (notice.start for notice in found))
            warnings += [PromptWarning(row, *where, n.kind, n.message) for where, n in zip(at, found, strict=True)]
        if chunks.dropped:
            message = f"{chunks.dropped} tokens at the end find no place and are dropped"
            warnings.append(PromptWarning(row, *place(tree.text, len(tree.text)), "dropped", message))
        return warnings

    def _add_raw_pooled(self, side: Side, trees: _Trees) -> None:
        """compel pools the raw text, syntax and all, cut at 77."""
        tokenizer = list(self.tokenizers.values())[-1]
        texts = [
            " ".join(piece.text for piece in each[-1].pieces if not piece.breaks)
            if "raw-pooled" in self.fixed
            else texts[-1]
            for texts, each in zip(side.texts, trees, strict=True)
        ]
        for ids, each in zip(tokenizer.lists(texts), side.chunks, strict=True):
            row = np.full(77, tokenizer.pad, np.int32)
            content = ids[:PLACES]
            row[: len(content) + 2] = [tokenizer.begin, *content, tokenizer.end]
            each[-1].pooled_ids = row
