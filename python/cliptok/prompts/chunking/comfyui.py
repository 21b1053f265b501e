"""ComfyUI's chunks: short pieces are kept whole, pieces of eight ids and more are cut wherever a chunk is full."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cliptok.prompts.token_rows import PLACES, Chunked, Fix, Row, TokenText
from cliptok.prompts.tree import Notice

LARGE = 8
EMBEDDING = "embedding:"
_SPLIT = re.compile(r"[ \n]embedding:")
_SPACE = re.compile(r"\s")


def words(piece: str, start: int, names: Mapping[str, int], notices: list[Notice]) -> list[tuple[str, bool]]:
    """The texts of a piece that are tokenized each by itself, and whether one is the name of an embedding.

    `start` is where the piece stands, for the notices.
    """
    if EMBEDDING not in piece:
        return [(piece, False)] if piece else []
    first, *others = _SPLIT.split(piece)
    found: list[tuple[str, bool]] = []
    for text in (first, *(EMBEDDING + other for other in others)):
        if not text:
            continue
        if not text.startswith(EMBEDDING):
            found.append((text, False))
            continue
        written, rest = _name(text[len(EMBEDDING) :].strip("\n"))
        name: str | None = written
        if written not in names:
            stripped = written.strip(",")
            if stripped != written and stripped in names:
                name, rest = stripped, f"{written[len(stripped) :]} {rest}"
            else:
                name = None
                notices.append(Notice(start, "embedding", f"there is no embedding {written!r}; it is left out"))
        if name is not None:
            found.append((name, True))
        if rest:
            found.append((rest, False))
    return found


def _name(text: str) -> tuple[str, str]:
    """Up to the first white space, and what follows that."""
    found = _SPACE.search(text)
    return (text, "") if found is None else (text[: found.start()], text[found.end() :])


def chunk(text: TokenText) -> Chunked:
    """Rows of 75 from the words of all pieces in order."""
    rows = [Row(0, 0)]
    at = 0
    for number, word in enumerate(text.segments):
        if number in text.breaks:
            rows[-1].note = "break"
            rows.append(Row(at, at))
            continue
        begun, stop = at, at + word.length
        while at < stop:
            row = rows[-1]
            end = row.start + PLACES
            fits = stop <= end
            if fits or word.length >= LARGE:
                row.stop = min(stop, end)
                if word.inversion is not None and row.stop > at:
                    row.fixes.append(Fix(at - row.start + 1, word.inversion, at - begun, row.stop - at))
                at = row.stop
            if not fits:
                row.note = "full" if word.length >= LARGE else "word"
                rows.append(Row(at, at))
    return Chunked(rows, count=len(text.ids))
