"""compel's chunks: long prompts are cut after a sentence, phrase or word; fragments below 1 are masked or removed."""

from __future__ import annotations

import math

from cliptok.prompts.token_rows import PLACES, Chunked, Masked, Row, Tokens
from cliptok.prompts.tokens import PieceTokenizer

SPLITS = ("sentences", "phrases", "words", "brutal")
_MARKS = {"sentences": (".</w>",), "phrases": (".</w>", ",</w>", ";</w>", ":</w>")}
_NOTES = {"sentences": "sentence", "phrases": "phrase", "words": "word"}
EPSILON = 1e-5


def mixing_weight(weight: float) -> float:
    """How much of the text without a fragment is mixed in for the fragment's weight below 1."""
    return math.tan((1.0 - max(EPSILON, weight)) * math.pi / 2)


def chunk(fragments: list[Tokens], tokenizer: PieceTokenizer, *, truncate: bool, split: str, remove: bool) -> Chunked:
    """Rows of 75, of which `truncate` keeps the first, cut as `split` says (one of `SPLITS`).

    `remove` gives rows without each fragment below 1 in place of masks.
    """
    if truncate:
        dropped = sum(len(tokens.ids) for tokens in fragments)
        fragments = [tokens._replace(ids=tokens.ids[:PLACES]) for tokens in fragments]
    rows = _rows(fragments, tokenizer, truncate, split)
    result = Chunked(rows, count=sum(len(row.ids) for row in rows))
    if truncate:
        result.dropped = dropped - result.count
    if not any(tokens.weight < 1 for tokens in fragments):
        return result
    places = _places(rows, fragments, tokenizer, truncate)
    for tokens, place in zip(fragments, places, strict=False):
        if tokens.weight >= 1 or place is None:
            continue
        if remove:
            others = [other for other in fragments if other is not tokens]
            result.without.append((tokens.weight, _rows(others, tokenizer, truncate, split)))
        else:
            result.masks.append(Masked(*place, tokens.weight))
    return result


def _rows(fragments: list[Tokens], tokenizer: PieceTokenizer, truncate: bool, split: str) -> list[Row]:
    ids = [id for tokens in fragments for id in tokens.ids]
    if len(ids) <= PLACES:
        row = Row()
        for tokens in fragments:
            row.add(tokens, 0, len(tokens.ids))
        return [row]
    cuts: list[tuple[int, str]] = []
    at = 0
    while len(ids) - at > PLACES and not truncate:
        size, note = _cut(ids[at : at + PLACES], tokenizer, split)
        at += size
        cuts.append((at, note))
    cuts.append((min(len(ids), at + PLACES) if truncate else len(ids), ""))
    rows: list[Row] = []
    which = start = 0  # the fragment and the place in it where the next row begins
    done = 0
    for cut, note in cuts:
        row = Row(note=note)
        while done < cut:
            tokens = fragments[which]
            stop = min(len(tokens.ids), start + cut - done)
            row.add(tokens, start, stop)
            done += stop - start
            which, start = (which + 1, 0) if stop == len(tokens.ids) else (which, stop)
        rows.append(row)
    return rows


def _cut(ids: list[int], tokenizer: PieceTokenizer, split: str) -> tuple[int, str]:
    """How many of 75 ids stay together, and after what the cut is."""
    for mode in SPLITS[SPLITS.index(split) : -1]:
        if mode == "words":
            ends = [place for place, id in enumerate(ids) if tokenizer.token(id).endswith("</w>")]
        else:
            marks = {tokenizer.word(mark) for mark in _MARKS[mode]}
            ends = [place for place, id in enumerate(ids) if id in marks]
        if ends:
            return ends[-1] + 1, _NOTES[mode]
    return PLACES, "full"


def _places(
    rows: list[Row], fragments: list[Tokens], tokenizer: PieceTokenizer, truncate: bool
) -> list[tuple[int, int] | None]:
    """First and last place of each fragment in the joined rows of 77, by compel's own search.

    The search looks for ids and not for positions: what begins with the padding's id is found in the padding.
    """
    specials = {tokenizer.begin, tokenizer.end, tokenizer.pad}
    joined: list[int] = []
    for row in rows:
        joined += [tokenizer.begin, *row.ids, tokenizer.end]
        joined += [tokenizer.pad] * (-len(joined) % 77)
    last = len(joined) - 1
    places: list[tuple[int, int] | None] = []
    start = 0
    for tokens in fragments:
        ids = tokens.ids
        if not ids:
            places.append(None)
            continue
        if truncate and start >= 76:
            break
        while start < last and joined[start] != ids[0]:
            start += 1
        end, matched = start, 0
        while end < last:
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
