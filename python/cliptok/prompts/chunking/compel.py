"""compel's chunks: long prompts are cut after a sentence, phrase or word; fragments below 1 are masked or removed."""

from __future__ import annotations

import math
from typing import NamedTuple

from cliptok.prompts.token_rows import PLACES, Chunked, Masked, Row, TokenText
from cliptok.prompts.tokens import PieceTokenizer

SPLITS = ("sentences", "phrases", "words", "brutal")
_MARKS = {"sentences": (".</w>",), "phrases": (".</w>", ",</w>", ";</w>", ":</w>")}
_NOTES = {"sentences": "sentence", "phrases": "phrase", "words": "word"}
EPSILON = 1e-5


def mixing_weight(weight: float) -> float:
    """How much of the text without a fragment is mixed in for the fragment's weight below 1."""
    return math.tan((1.0 - max(EPSILON, weight)) * math.pi / 2)


class Splitting(NamedTuple):
    """How long prompts are cut."""

    tokenizer: PieceTokenizer
    truncate: bool
    """The first chunk is all that is kept."""
    split: str
    """One of `SPLITS`."""
    shortest: int = 1
    """Ids that a chunk must have to end after a sentence or phrase."""

    def rows(self, ids: list[int]) -> list[Row]:
        """Rows of at most 75 ids."""
        rows = [Row(0, min(len(ids), PLACES))]
        while not self.truncate and len(ids) - rows[-1].start > PLACES:
            size, rows[-1].note = self._cut(ids[rows[-1].start : rows[-1].stop])
            rows[-1].stop = rows[-1].start + size
            rows.append(Row(rows[-1].stop, min(len(ids), rows[-1].stop + PLACES)))
        return rows

    def _cut(self, ids: list[int]) -> tuple[int, str]:
        """How many of 75 ids stay together, and after what the cut is."""
        for mode in SPLITS[SPLITS.index(self.split) : -1]:
            if mode == "words":
                ends = [place for place, id in enumerate(ids) if self.tokenizer.token(id).endswith("</w>")]
            else:
                marks = {self.tokenizer.word(mark) for mark in _MARKS[mode]}
                ends = [place for place, id in enumerate(ids) if id in marks]
            if ends and (mode == "words" or ends[-1] + 1 >= self.shortest):
                return ends[-1] + 1, _NOTES[mode]
        return PLACES, "full"


def chunk(text: TokenText, splitting: Splitting, remove: bool) -> Chunked:
    """Rows of 75, and which places are masked for each fragment below 1, or with `remove` the rows without it."""
    rows = splitting.rows(text.ids)
    result = Chunked(rows, dropped=len(text.ids) - rows[-1].stop, count=rows[-1].stop)
    if not any(fragment.weight < 1 for fragment in text.segments):
        return result
    places = _places(rows, text, splitting.tokenizer, splitting.truncate)
    for number, (fragment, place) in enumerate(zip(text.segments, places, strict=False)):
        if fragment.weight >= 1 or place is None:
            continue
        if remove:
            others = _without(text, number)
            result.without.append((fragment.weight, others, splitting.rows(others.ids)))
        else:
            result.masks.append(Masked(*place, fragment.weight))
    return result


def _without(text: TokenText, number: int) -> TokenText:
    """The text without one fragment."""
    starts = text.starts()
    ids = text.ids[: starts[number]] + text.ids[starts[number + 1] :]
    return TokenText(ids, text.segments[:number] + text.segments[number + 1 :], set())


def _places(
    rows: list[Row], text: TokenText, tokenizer: PieceTokenizer, truncate: bool
) -> list[tuple[int, int] | None]:
    """First and last place of each fragment in the joined rows of 77, by compel's own search.

    The search looks for ids and not for positions: what begins with the padding's id is found in the padding.
    """
    specials = {tokenizer.begin, tokenizer.end, tokenizer.pad}
    joined: list[int] = []
    for row in rows:
        joined += [tokenizer.begin, *text.ids[row.start : row.stop], tokenizer.end]
        joined += [tokenizer.pad] * (-len(joined) % 77)
    last = len(joined) - 1
    places: list[tuple[int, int] | None] = []
    start = 0
    begun = 0
    for fragment in text.segments:
        ids = text.ids[begun : begun + fragment.length]
        begun += fragment.length
        if truncate:
            ids = ids[:PLACES]
        if not ids:
            places.append(None)
            continue
        if truncate and start >= 76:
            break
        try:
            start = joined.index(ids[0], start, last)
        except ValueError:
            start = max(start, last)
        end, matched = start, 0
        if joined[start : start + len(ids)] == ids:
            end, matched = start + len(ids) - 1, len(ids)
        while end < last and matched < len(ids):
            if joined[end] == ids[matched]:
                matched += 1
                if matched == len(ids):
                    break
            elif truncate or joined[end] not in specials:
                break
            end += 1
        places.append((start, end))
        start = end + 1
    return places
