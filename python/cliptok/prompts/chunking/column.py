"""All texts of a call for one encoder: the members of every part of every distinct prompt, to chunks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from cliptok.prompts.chunking.assemble import Arrays, RowTable
from cliptok.prompts.chunking.inversions import Inversions
from cliptok.prompts.chunking.old_emphasis import old_emphasis
from cliptok.prompts.chunking.rules import Rule
from cliptok.prompts.chunking.tokenized import Segments, Tokenized, joined, tokenize, tokenize_words
from cliptok.prompts.plan import Chunks, PlacedFix, Removed, Section
from cliptok.prompts.token_rows import PLACES, Chunked, TokenText
from cliptok.prompts.tokens import PieceTokenizer
from cliptok.prompts.tree import Member, Parsed, Part, Pieces


class Column:
    """What one encoder gets of each tree. `trees` are by a key that the chunks have too."""

    def __init__(
        self,
        trees: Mapping[int, Parsed],
        name: str,
        rule: Rule,
        tokenizer: PieceTokenizer,
        settings: Mapping[str, Any],
        inversions: Mapping[str, int],
        half: bool,
    ) -> None:
        self.name, self.rule, self.tokenizer, self.settings = name, rule, tokenizer, settings
        self.trees = {
            key: [(part, one) for part in self._parts(tree) for one in part.members] for key, tree in trees.items()
        }
        members = [member for found in self.trees.values() for _, member in found]
        edited = [member.edited for member in members if member.edited is not None]
        self.tokens = self._tokenize([member.pieces for member in members] + edited, inversions)
        if half:
            weights = self.tokens.segments.weights.astype(np.float16).astype(np.float64)
            self.tokens.segments = self.tokens.segments._replace(weights=weights)
        self.longest = max(
            (stop - start for start, stop in pairwise(self.tokens.offsets[: len(members) + 1])), default=0
        )
        """Tokens of the longest text."""
        self._next, self._next_edited = 0, len(members)

    def _parts(self, tree: Parsed) -> list[Part]:
        """compel's rule knows no BREAK: what stands between two is a part of its own."""
        if self.name != "compel" or not any(one.pieces.breaks for part in tree.parts for one in part.members):
            return tree.parts
        return [
            Part([Member(section)], part.weight) for part in tree.parts for section in part.members[0].pieces.sections()
        ]

    def _tokenize(self, texts: list[Pieces], names: Mapping[str, int]) -> Tokenized:
        if self.name == "comfyui":
            return tokenize_words(texts, self.tokenizer, names)
        found = tokenize(texts, self.tokenizer)
        if self.settings.get("emphasis") == "old":
            return joined([old_emphasis(found.text(number), self.tokenizer) for number in range(len(found))])
        if names:
            inversions = Inversions.of(names, dict(zip(names, self.tokenizer.lists(list(names)), strict=True)))
            return joined([inversions.placed(found.text(number)) for number in range(len(found))])
        return found

    def chunks(self, longest: int) -> dict[int, Chunks]:
        """The chunks of each tree, where the longest text of the call has so many tokens."""
        table, shorter = RowTable(), _Shorter(self.tokens.segments)
        made = {key: self._add(found, longest, table, shorter) for key, found in self.trees.items()}
        arrays = Arrays(table, shorter.segments(), self.tokenizer)
        shorter.finish(arrays)
        result = {}
        for key, (start, stop, sections, fixes, count, dropped) in made.items():
            result[key] = Chunks(
                arrays.ids[start:stop],
                arrays.weights[start:stop],
                arrays.pieces[start:stop],
                arrays.words[start:stop],
                arrays.spans[start:stop],
                sections,
                fixes,
                table.note[start:stop],
                count,
                dropped,
            )
        return result

    def _add(
        self, found: list[tuple[Part, Member]], longest: int, table: RowTable, shorter: _Shorter
    ) -> tuple[int, int, list[Section], list[PlacedFix], int, int]:
        """Add the rows of one prompt: which these are, its sections and embeddings, its tokens, and what is dropped."""
        start = len(table)
        sections: list[Section] = []
        fixes: list[PlacedFix] = []
        without: list[tuple[Section, Chunked]] = []
        first = count = dropped = 0
        for part, member in found:
            number = self._next
            self._next += 1
            begin = len(table) - start
            offset, stop = self.tokens.offsets[number], self.tokens.offsets[number + 1]
            mix = _mix(part, member)
            if self._is_one_row(number, stop - offset, member):
                table.add(offset, stop)
                count += stop - offset
                section = Section(begin, begin + 1, first, 1, mix, part.weight)
            else:
                one = self.rule.chunk(self.tokens.text(number), longest)
                for row in one.rows:
                    fixes += [PlacedFix(len(table) - start, *fix) for fix in row.fixes]
                    table.add(offset + row.start, offset + row.stop, row.note, row.span, row.end_last)
                count += one.count
                dropped += one.dropped
                size = len(one.rows)
                section = Section(begin, begin + size, first, size, mix, part.weight, one.masks)
                if one.without:
                    without.append((section, one))
            if member.edited is not None:
                edited = self.rule.chunk(self.tokens.text(self._next_edited), longest)
                self._next_edited += 1
                section.length = max(section.length, len(edited.rows))
            sections.append(section)
            if member is part.members[-1]:
                together = [other for other in sections if other.first == first]
                widest = max(other.length for other in together)
                for other in together:
                    other.length = widest
                first += widest
        stop = len(table)
        for section, chunked in without:
            shorter.add(section, chunked, table)
        return start, stop, sections, fixes, count, dropped

    def _is_one_row(self, number: int, size: int, member: Member) -> bool:
        if not self.rule.short_is_one or size > PLACES or number in self.tokens.breaks or self.tokens.inversions:
            return False
        return self.name != "compel" or min(member.pieces.weights, default=1.0) >= 1


class _Shorter:
    """compel's texts without one fragment: they have ids of their own, after those of all texts."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._texts: list[TokenText] = []
        self._size = len(segments.ids)
        self._rows: list[tuple[Section, float, int, int]] = []

    def add(self, section: Section, chunked: Chunked, table: RowTable) -> None:
        """Add the rows of a section's text without each of its fragments below 1."""
        for weight, text, rows in chunked.without:
            start = len(table)
            for row in rows:
                table.add(self._size + row.start, self._size + row.stop)
            self._texts.append(text)
            self._size += len(text.ids)
            self._rows.append((section, weight, start, len(table)))

    def segments(self) -> Segments:
        """Of all texts, and then of these."""
        return self._segments.joined(Segments.of(self._texts)) if self._texts else self._segments

    def finish(self, arrays: Arrays) -> None:
        """Give the sections what became of their rows."""
        for section, weight, start, stop in self._rows:
            section.removed.append(Removed(weight, arrays.ids[start:stop], arrays.weights[start:stop]))


def _mix(part: Part, member: Member) -> float:
    if len(part.members) == 1 and member.weight == 1.0:
        return 1.0
    return member.weight / sum(one.weight for one in part.members) if part.normalize else member.weight
