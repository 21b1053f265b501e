"""Chunks without a rule: diffusers' one row of 77, the long prompt pipelines' blocks of 75, sd_embed's."""

from __future__ import annotations

from cliptok.prompts.token_rows import PLACES, Chunked, Row, Tokens, fill


def one_row(pieces: list[Tokens]) -> Chunked:
    """The first 75 ids."""
    total = sum(len(tokens.ids) for tokens in pieces)
    rows = fill(pieces, limit=1)
    return Chunked(rows, dropped=total - len(rows[0].ids), count=len(rows[0].ids))


def lpw(pieces: list[Tokens], chunks: int, inner_ends: bool = True) -> Chunked:
    """`chunks` rows of 75 ids, which end at position 76, after the padding; what is too long is lost.

    Without `inner_ends` only the first begin and the last end take part in the result.
    """
    total = sum(len(tokens.ids) for tokens in pieces)
    rows = fill(pieces, limit=chunks)
    count = sum(len(row.ids) for row in rows)
    rows += [Row() for _ in range(chunks - len(rows))]
    for number, row in enumerate(rows):
        row.end_last = True
        if not inner_ends:
            row.first, row.stop = min(number, 1), 77 if number == chunks - 1 else 76
    return Chunked(rows, dropped=total - count, count=count)


def lpw_chunks(tokens: int, multiples: int) -> int:
    """How many rows a call has whose longest text has so many tokens."""
    return min(max((tokens - 1) // PLACES + 1, 1), multiples)


def blocks(pieces: list[Tokens], size: int, end: int, pad_last: bool) -> Chunked:
    """Rows of 75 ids of a text filled to `size` ids with `end`; the last row has no padding unless `pad_last`."""
    total = sum(len(tokens.ids) for tokens in pieces)
    if size > total:
        pieces = [*pieces, Tokens([end] * (size - total), 1.0, -1)]
    rows = fill(pieces)
    if not pad_last:
        rows[-1].stop = len(rows[-1].ids) + 2
    return Chunked(rows, count=total)
