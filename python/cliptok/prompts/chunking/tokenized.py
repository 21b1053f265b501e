"""The pieces of all texts of a call in ids, in columns: one call of the tokenizer for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cliptok.prompts.chunking import comfyui
from cliptok.prompts.plan import Int32
from cliptok.prompts.token_rows import Segment, TokenText
from cliptok.prompts.tokens import PieceTokenizer
from cliptok.prompts.tree import Pieces


class Segments(NamedTuple):
    """Stretches of ids that come from one piece each, of all texts one after the other."""

    ids: Int32
    """(ids,)"""
    lengths: npt.NDArray[np.int64]
    """(segments,)"""
    weights: npt.NDArray[np.float64]
    """(segments,)"""
    pieces: Int32
    """(segments,): the number of the piece in its prompt."""
    words: Int32
    """(segments,): the number of the group that is weighted together, from 1."""

    @classmethod
    def of(cls, texts: Sequence[TokenText]) -> Segments:
        """From texts that are not in columns yet."""
        segments = [segment for text in texts for segment in text.segments]
        return cls(
            np.array([id for text in texts for id in text.ids], np.int32),
            np.array([segment.length for segment in segments], np.int64),
            np.array([segment.weight for segment in segments], np.float64),
            np.array([segment.piece for segment in segments], np.int32),
            np.array([segment.word for segment in segments], np.int32),
        )

    def joined(self, other: Segments) -> Segments:
        """Both, one after the other."""
        both: Any = zip(self, other, strict=True)
        return Segments(*(np.concatenate(pair) for pair in both))


class Tokenized:
    """The texts of a call: their segments, and which of these belong to each text."""

    def __init__(self, segments: Segments, counts: Sequence[int], breaks: Mapping[int, Sequence[int]]) -> None:
        self.segments = segments
        self.breaks = breaks
        """For texts that have any, the numbers of the segments that end a chunk."""
        self.inversions: dict[int, str] = {}
        """Segments that are the vectors of a textual inversion."""
        self.first = np.concatenate([[0], np.cumsum(counts)]).tolist()
        """For each text its first segment, and at the end how many there are."""
        offsets = np.concatenate([[0], np.cumsum(segments.lengths)])
        self.offsets: list[int] = offsets[self.first].tolist()
        """For each text its first id, and at the end how many there are."""

    def __len__(self) -> int:
        return len(self.first) - 1

    def text(self, number: int) -> TokenText:
        """One text by itself."""
        first, stop = self.first[number], self.first[number + 1]
        columns = (column[first:stop].tolist() for column in self.segments[1:])
        segments = [Segment(*values) for values in zip(*columns, strict=True)]
        if self.inversions:
            segments = [
                segment._replace(inversion=self.inversions.get(place)) for place, segment in enumerate(segments, first)
            ]
        ids = self.segments.ids[self.offsets[number] : self.offsets[number + 1]].tolist()
        return TokenText(ids, segments, set(self.breaks.get(number, ())))


def tokenize(texts: Sequence[Pieces], tokenizer: PieceTokenizer) -> Tokenized:
    """Every piece by itself."""
    counts = [len(pieces) for pieces in texts]
    ids, lengths = tokenizer.packed([text for pieces in texts for text in pieces.texts])
    breaks = {number: pieces.breaks for number, pieces in enumerate(texts) if pieces.breaks}
    if breaks:
        ids, lengths = _emptied(ids, lengths, counts, breaks)
    first = np.cumsum(counts) - counts
    numbers = np.arange(len(lengths)) - np.repeat(first, counts)
    weights = np.array([weight for pieces in texts for weight in pieces.weights], np.float64)
    return Tokenized(
        Segments(ids, lengths, weights, numbers.astype(np.int32), (numbers + 1).astype(np.int32)), counts, breaks
    )


def _emptied(
    ids: Int32, lengths: npt.NDArray[np.int64], counts: Sequence[int], breaks: Mapping[int, Sequence[int]]
) -> tuple[Int32, npt.NDArray[np.int64]]:
    """Without the ids of the words that say where a chunk ends."""
    first = (np.cumsum(counts) - counts).tolist()
    empty = np.zeros(len(lengths), bool)
    for number, places in breaks.items():
        empty[[first[number] + place for place in places]] = True
    return ids[~np.repeat(empty, lengths)], np.where(empty, 0, lengths)


def tokenize_words(texts: Sequence[Pieces], tokenizer: PieceTokenizer, names: Mapping[str, int]) -> Tokenized:
    """ComfyUI's: a piece without embeddings is one group, and an embedding is one, whose ids are -1."""
    if not any(comfyui.EMBEDDING in text for pieces in texts for text in pieces.texts):
        return tokenize(texts, tokenizer)
    split: list[list[Any]] = []
    for pieces in texts:
        groups: list[Any] = []
        for number, piece in enumerate(pieces):
            if piece.breaks:
                groups.append((number, piece.weight, "", None))
            for text, named in [] if piece.breaks else comfyui.words(piece.text, piece.start, names, []):
                groups.append((number, piece.weight, "" if named else text, text if named else None))
        split.append(groups)
    found = iter(tokenizer.lists([text for groups in split for _, _, text, _ in groups]))
    made: list[TokenText] = []
    for pieces, groups in zip(texts, split, strict=True):
        ids: list[int] = []
        segments: list[Segment] = []
        for word, (number, weight, _, name) in enumerate(groups, 1):
            own = next(found)
            own = own if name is None else [-1] * names[name]
            ids += own
            segments.append(Segment(len(own), weight, number, word, name))
        breaks = {place for place, segment in enumerate(segments) if segment.piece in pieces.breaks}
        made.append(TokenText(ids, segments, breaks))
    return joined(made)


def joined(texts: Sequence[TokenText]) -> Tokenized:
    """Texts back in columns."""
    breaks = {number: sorted(text.breaks) for number, text in enumerate(texts) if text.breaks}
    result = Tokenized(Segments.of(texts), [len(text.segments) for text in texts], breaks)
    segments = [segment for text in texts for segment in text.segments]
    result.inversions = {place: s.inversion for place, s in enumerate(segments) if s.inversion is not None}
    return result
