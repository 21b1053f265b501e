"""ComfyUI's chunks: short pieces are kept whole, pieces of eight ids and more are cut wherever a chunk is full."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cliptok.prompts.token_rows import PLACES, Chunked, Row, Tokens
from cliptok.prompts.tree import Notice, Piece

LARGE = 8
EMBEDDING = "embedding:"
_SPLIT = re.compile(r"[ \n]embedding:")
_SPACE = re.compile(r"\s")


def words(piece: Piece, names: Mapping[str, int], notices: list[Notice]) -> list[tuple[str, bool]]:
    """The texts of a piece that are tokenized each by itself, and whether one is the name of an embedding."""
    if EMBEDDING not in piece.text:
        return [(piece.text, False)] if piece.text else []
    first, *others = _SPLIT.split(piece.text)
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
                notices.append(Notice(piece.start, "embedding", f"there is no embedding {written!r}; it is left out"))
        if name is not None:
            found.append((name, True))
        if rest:
            found.append((rest, False))
    return found


def _name(text: str) -> tuple[str, str]:
    """Up to the first white space, and what follows that."""
    found = _SPACE.search(text)
    return (text, "") if found is None else (text[: found.start()], text[found.end() :])


def chunk(groups: list[Tokens]) -> Chunked:
    """Rows of 75 from the words of all pieces in order."""
    rows = [Row()]
    for tokens in groups:
        if tokens.breaks:
            rows[-1].note = "break"
            rows.append(Row())
            continue
        at, size = 0, len(tokens.ids)
        large = size >= LARGE
        while at < size:
            room = PLACES - len(rows[-1].ids)
            if size - at <= room:
                rows[-1].add(tokens, at, size)
                break
            rows[-1].note = "word"
            if large:
                rows[-1].add(tokens, at, at + room)
                rows[-1].note = "full"
                at += room
            rows.append(Row())
    return Chunked(rows, count=sum(len(row.ids) for row in rows))
