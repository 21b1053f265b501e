"""Chunks without a rule: diffusers' one row of 77, the long prompt pipelines' blocks of 75, sd_embed's."""

from __future__ import annotations

from cliptok.prompts.token_rows import PLACES, Chunked, Row, TokenText, cut


def one_row(text: TokenText) -> Chunked:
    """The first 75 ids."""
    rows = cut(text, limit=1)
    return Chunked(rows, dropped=len(text.ids) - rows[0].stop, count=rows[0].stop)


def lpw(text: TokenText, chunks: int, inner_ends: bool = True) -> Chunked:
    """`chunks` rows of 75 ids, which end at position 76, after the padding; what is too long is lost.

    Without `inner_ends` only the first begin and the last end take part in the result.
    """
    rows = cut(text, limit=chunks)
    count = rows[-1].stop
    rows += [Row(count, count) for _ in range(chunks - len(rows))]
    for number, row in enumerate(rows):
        row.end_last = True
        if not inner_ends:
            row.span = min(number, 1), 77 if number == chunks - 1 else 76
    return Chunked(rows, dropped=len(text.ids) - count, count=count)


def lpw_chunks(tokens: int, multiples: int) -> int:
    """How many rows a call has whose longest text has so many tokens."""
    return min(max((tokens - 1) // PLACES + 1, 1), multiples)


def blocks(text: TokenText, size: int, pad_last: bool) -> Chunked:
    """Rows of 75 ids of a text filled to `size` ids; the last row has no padding unless `pad_last`.

    What it is filled with is what it is padded with, so only the positions that count tell them apart.
    """
    rows = cut(text)
    filling = max(size - len(text.ids), 0)
    filled = rows[-1].stop - rows[-1].start + filling
    while filled > PLACES:
        rows[-1].note = "full"
        rows.append(Row(rows[-1].stop, rows[-1].stop))
        filled -= PLACES
    if not pad_last:
        rows[-1].span = (0, filled + 2)
    return Chunked(rows, count=len(text.ids))
