"""Trees of a batch to chunks, by the rule of a dialect."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from cliptok.prompts.chunking import a1111, blocks, comfyui, compel
from cliptok.prompts.chunking.assemble import Arrays
from cliptok.prompts.chunking.old_emphasis import old_emphasis
from cliptok.prompts.dialects.dialect import Dialect
from cliptok.prompts.errors import PromptError, PromptWarning, place
from cliptok.prompts.limits import Limits, check_weight
from cliptok.prompts.plan import Chunks, PlacedFix, Removed, Section, Side
from cliptok.prompts.token_rows import PLACES, Chunked, Row, Tokens
from cliptok.prompts.tokens import PieceTokenizer
from cliptok.prompts.tree import Member, Notice, Parsed, Part, Piece

_Trees = list[tuple[Parsed, ...]]


class _Text(NamedTuple):
    """One member of one part, in ids."""

    tokens: list[Tokens]
    edited: list[Tokens] | None
    mix: float
    weight: float
    last: bool
    """The part ends here."""


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
        self.half = bool(settings.get("half_weights")) and not self.two_prompts

    def chunk(self, sides: list[Side], trees: list[_Trees], warnings: list[list[PromptWarning]]) -> None:
        """Fill in the chunks of all sides, and add warnings about what is lost.

        Raises PromptError for too many chunks, and where the tool's encoders would not fit together.
        """
        columns: list[dict[int, list[_Text]]] = []
        for number, role in enumerate(self.tokenizers):
            distinct = {id(each[number]): each[number] for side in trees for each in side}
            columns.append(self._tokenize(role, distinct))
        sizes = self._sizes(columns)
        chunks = [
            self._chunk_all(role, column, size)
            for role, column, size in zip(self.tokenizers, columns, sizes, strict=True)
        ]
        for which, (side, side_trees) in enumerate(zip(sides, trees, strict=True)):
            for row, each in enumerate(side_trees):
                found = [column[id(tree)] for column, tree in zip(chunks, each, strict=True)]
                try:
                    side.chunks.append(self._checked(found))
                except PromptError as error:
                    raise error.located(self.dialect.name, row) from None
                warnings[which] += self._lost(row, each[0], found[0])
            if (self.dialect.pooled == "raw" and len(self.tokenizers) > 1) or (
                self.dialect.pooled == "raw" and "g" in self.tokenizers
            ):
                self._add_raw_pooled(side, side_trees)

    # -- ids

    def _tokenize(self, role: str, trees: dict[int, Parsed]) -> dict[int, list[_Text]]:
        tokenizer, names = self.tokenizers[role], self.inversions[role]
        split = {
            id(piece): comfyui.words(piece, names, [])
            for tree in trees.values()
            for piece in _pieces(tree)
            if self.rule == "comfyui"
        }
        texts: list[str] = []
        for tree in trees.values():
            for piece in _pieces(tree):
                if self.rule != "comfyui":
                    texts.append(piece.text)
                elif not piece.breaks:
                    texts += [text for text, named in split[id(piece)] if not named]
        ids = tokenizer.ids(texts)

        def tokens_of(pieces: list[Piece]) -> list[Tokens]:
            result: list[Tokens] = []
            for number, piece in enumerate(pieces):
                weight = self._weight(piece)
                if piece.breaks:
                    result.append(Tokens([], weight, number, breaks=True))
                elif self.rule != "comfyui":
                    result.append(Tokens(ids[piece.text], weight, number, number + 1))
                else:
                    for text, named in split[id(piece)]:
                        found = [-1] * names[text] if named else ids[text]
                        word = len(result) + 1
                        result.append(Tokens(found, weight, number, word, inversion=text if named else None))
            if self.settings.get("emphasis") == "old":
                return old_emphasis(result, tokenizer)
            return result

        return {
            key: [
                _Text(
                    tokens_of(member.pieces),
                    None if member.edited is None else tokens_of(member.edited),
                    _mix(part, member),
                    part.weight,
                    member is part.members[-1],
                )
                for part in self._parts(tree)
                for member in part.members
            ]
            for key, tree in trees.items()
        }

    def _parts(self, tree: Parsed) -> list[Part]:
        """compel's rule knows no BREAK: what stands between two is a part of its own."""
        if self.rule != "compel" or not any(
            piece.breaks for part in tree.parts for m in part.members for piece in m.pieces
        ):
            return tree.parts
        parts: list[Part] = []
        for part in tree.parts:
            sections: list[list[Piece]] = [[]]
            for piece in part.members[0].pieces:
                if piece.breaks:
                    sections.append([])
                else:
                    sections[-1].append(piece)
            parts += [Part([Member(section)], part.weight) for section in sections]
        return parts

    def _weight(self, piece: Piece) -> float:
        if not self.half or piece.weight == 1.0:
            return piece.weight
        with np.errstate(over="ignore"):
            weight = float(np.float16(piece.weight))
        check_weight(weight, piece.text, 0)
        return weight

    # -- chunks

    def _sizes(self, columns: list[dict[int, list[_Text]]]) -> list[int]:
        """For each encoder what all texts of the call are filled to, in the rules that do that."""
        if self.rule not in ("lpw", "blocks", "padded-blocks"):
            return [0] * len(columns)
        longest = [
            max(sum(len(tokens.ids) for tokens in text.tokens) for texts in column.values() for text in texts)
            for column in columns
        ]
        if self.rule == "lpw":
            return [blocks.lpw_chunks(size, self.settings["max_embeddings_multiples"]) for size in longest]
        return [max(longest)] * len(columns) if self.two_prompts else longest

    def _chunk(self, role: str, tokens: list[Tokens], size: int, inversions: a1111.Inversions) -> Chunked:
        tokenizer, settings = self.tokenizers[role], self.settings
        if settings.get("emphasis") == "old":
            found = blocks.one_row(tokens)
            return dataclasses.replace(found, count=found.count + found.dropped)
        if self.rule == "a1111":
            backtrack = settings.get("comma_backtrack", 20)
            comma = tokenizer.word(",</w>")
            return a1111.chunk(tokens, comma, backtrack, inversions, "moved-inversion" in self.fixed)
        if self.rule == "comfyui":
            return comfyui.chunk(tokens)
        if self.rule == "compel":
            return compel.chunk(
                tokens,
                tokenizer,
                truncate=settings["truncate_long_prompts"],
                split=settings["split"],
                remove=settings["downweight"] == "remove",
            )
        if self.rule == "lpw":
            return blocks.lpw(tokens, size, not settings.get("no_boseos_middle"))
        if self.rule == "one-row":
            return blocks.one_row(tokens)
        if size == 0 and self.rule == "blocks" and self.dialect.name == "lpw-xl":
            raise PromptError("there is nothing to encode", remedy="give a prompt or a negative prompt with text")
        return blocks.blocks(tokens, size, tokenizer.end, self._pads_last(role))

    def _pads_last(self, role: str) -> bool:
        """sd_embed leaves the last row short for SD 1 unless it is told otherwise."""
        if self.rule == "blocks":
            return False
        return self.settings.get("pad_last_block", True) if len(self.tokenizers) == 1 and role == "l" else True

    def _chunk_all(self, role: str, column: dict[int, list[_Text]], size: int) -> dict[int, Chunks]:
        tokenizer = self.tokenizers[role]
        names = self.inversions[role]
        inversions = a1111.Inversions({})
        if names and self.rule != "comfyui":
            inversions = a1111.Inversions.of(dict(names), tokenizer.ids(names))
        rows: list[Row] = []
        made: dict[int, tuple[int, int, list[Section], list[Chunked]]] = {}
        removed: list[tuple[Section, float, int, int]] = []
        for key, texts in column.items():
            start, first, longest = len(rows), 0, 0
            sections: list[Section] = []
            chunked: list[Chunked] = []
            for text in texts:
                found = self._chunk(role, text.tokens, size, inversions)
                length = len(found.rows)
                if text.edited is not None:
                    length = max(length, len(self._chunk(role, text.edited, size, inversions).rows))
                begin = len(rows) - start
                section = Section(begin, begin + len(found.rows), first, length, text.mix, text.weight, found.masks)
                rows += found.rows
                chunked.append(found)
                sections.append(section)
                longest = max(longest, length)
                if text.last:
                    for one in sections:
                        if one.first == first:
                            one.length = longest
                    first, longest = first + longest, 0
            stop = len(rows)
            for section, each in zip(sections, chunked, strict=True):
                for weight, others in each.without:
                    removed.append((section, weight, len(rows), len(rows) + len(others)))
                    rows += others
            made[key] = (start, stop, sections, chunked)
        arrays = Arrays(rows, tokenizer)
        for section, weight, begin, end in removed:
            section.removed.append(Removed(weight, arrays.ids[begin:end], arrays.weights[begin:end]))
        return {
            key: Chunks(
                ids=arrays.ids[start:stop],
                weights=arrays.weights[start:stop],
                pieces=arrays.pieces[start:stop],
                words=arrays.words[start:stop],
                spans=arrays.spans[start:stop],
                sections=sections,
                fixes=[PlacedFix(number, *fix) for number, row in enumerate(rows[start:stop]) for fix in row.fixes],
                notes=[row.note for row in rows[start:stop]],
                count=sum(one.count for one in chunked),
                dropped=sum(one.dropped for one in chunked),
            )
            for key, (start, stop, sections, chunked) in made.items()
        }

    # -- after all are made

    def _checked(self, found: list[Chunks]) -> tuple[Chunks, ...]:
        for chunks in found:
            self.limits.check_chunks(max(chunks.length, len(chunks.ids)))
        if len(found) == 1 or self.rule in ("comfyui", "compel", "one-row", "lpw"):
            return tuple(found)
        one, two = found
        if not np.array_equal(one.spans, two.spans):
            raise PromptError(
                f"the encoders need different chunks, {one.count} tokens and {two.count}",
                remedy="take special tokens out of the text, and '!' where a tokenizer pads with it",
            )
        if self.rule in ("blocks", "padded-blocks") and not self.two_prompts:
            two.weights = one.weights
        return tuple(found)

    def _lost(self, row: int, tree: Parsed, chunks: Chunks) -> list[PromptWarning]:
        found: list[Notice] = []
        if self.rule == "comfyui":
            for piece in tree.pieces:
                comfyui.words(piece, self.inversions[next(iter(self.tokenizers))], found)
        warnings = [PromptWarning(row, *place(tree.text, n.start), n.kind, n.message) for n in found]
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
        ids = tokenizer.ids(texts)
        for text, each in zip(texts, side.chunks, strict=True):
            row = np.full(77, tokenizer.pad, np.int32)
            content = ids[text][:PLACES]
            row[: len(content) + 2] = [tokenizer.begin, *content, tokenizer.end]
            each[-1].pooled_ids = row


def _pieces(tree: Parsed) -> list[Piece]:
    return [
        piece
        for part in tree.parts
        for member in part.members
        for pieces in (member.pieces, member.edited or ())
        for piece in pieces
    ]


def _mix(part: Part, member: Member) -> float:
    if len(part.members) == 1 and member.weight == 1.0:
        return 1.0
    return member.weight / sum(one.weight for one in part.members) if part.normalize else member.weight
