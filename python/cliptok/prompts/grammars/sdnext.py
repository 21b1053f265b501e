"""SD.Next's native grammar: AUTOMATIC1111's brackets, with text cleaned up, weights rounded, and lines that break."""

from __future__ import annotations

import re
from bisect import bisect_right

from cliptok.prompts.grammars.emphasis import DOWN, UP, Scan, merged
from cliptok.prompts.limits import Limits
from cliptok.prompts.tree import Member, Notice, Parsed, Part, Pieces

_NATIVE = re.compile(r"\\[()\[\]\\:]|\\|\(|\[|:([+-]?[.\d]+)\)|\)|\]|[^\\()\[\]:]+|:")
_A1111 = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:([+-]?[.\d]+)\)|\)|\]|[^\\()\[\]:]+|:")
_BREAK = re.compile(r"\bBREAK\b|##")
_SPACES = re.compile(r"\s+")
_NOT_WORD = re.compile(r"^\W+")


def _round(weight: float) -> float:
    return round(weight, 3)


def parse(
    text: str, limits: Limits, *, native: bool = True, line_breaks: bool = True, negative: bool = False
) -> Parsed:
    """Sections between BREAKs as parts of their own, which SD.Next joins; a negative prompt has none.

    `native` is SD.Next's own reading; without it, its variant called "a1111". `line_breaks` makes a new line a BREAK.
    Raises PromptError for brackets nested deeper than the limit. A number such as `1.2.3` weighs nothing here.
    """
    source = text
    if native and "\n" in text:
        source = text.replace("\n", " BREAK " if line_breaks else " ")
    pieces, notices = _pieces(source, limits, native)
    if len(source) != len(text):
        # Positions in a text whose lines were replaced point at the beginning of the line's end.
        where = _Positions(text)
        pieces.spans = [(where(start), where(end)) for start, end in pieces.spans]
        notices = [notice._replace(start=where(notice.start)) for notice in notices]
    if negative or "BREAK" not in pieces.texts:
        return Parsed(text, [Part([Member(pieces)])], notices)
    pieces.breaks = [number for number, piece in enumerate(pieces.texts) if piece == "BREAK"]
    sections = [section for section in pieces.sections() if section]
    found = sections or [Pieces([""], [1.0], [(0, len(text))])]
    return Parsed(text, [Part([Member(section)]) for section in found], notices, shown=pieces)


class _Positions:
    """From positions in a text whose line ends became ` BREAK ` to positions in the text."""

    def __init__(self, text: str) -> None:
        self.ends = [place for place, character in enumerate(text) if character == "\n"]
        self.moved = [place + 6 * number for number, place in enumerate(self.ends)]

    def __call__(self, position: int) -> int:
        line = bisect_right(self.moved, position)
        if line == 0:
            return position
        return max(position - 6 * line, self.ends[line - 1])


def _pieces(text: str, limits: Limits, native: bool) -> tuple[Pieces, list[Notice]]:
    scan = Scan(text, limits)
    for found in (_NATIVE if native else _A1111).finditer(text):
        token, number = found.group(0, 1)
        first = token[0]
        if first == "\\":
            _add_escaped(scan, token[1:], found.start(), found.end())
        elif first == "(" or first == "[":
            scan.open(first, found.start())
        elif number is not None and scan.round:
            _close(scan, "(", _number(number))
        elif first == ")" and scan.round:
            _close(scan, "(", UP)
        elif first == "]" and scan.square:
            _close(scan, "[", DOWN)
        else:
            _add_run(scan, token, found.start(), native)
    for stack, factor in ((scan.round, UP), (scan.square, DOWN)):
        for begun, start in stack:
            _multiply(scan, begun, factor)
            scan.notices.append(Notice(start, "open", f"{text[start]!r} is never closed and weighs the rest"))
    return merged(scan.pieces(), spaced=native), scan.notices


def _close(scan: Scan, bracket: str, factor: float) -> None:
    first, _ = (scan.round if bracket == "(" else scan.square).pop()
    _multiply(scan, first, factor)


def _multiply(scan: Scan, first: int, factor: float) -> None:
    weights = scan.weights
    if len(weights) - first > 64:
        import numpy as np

        # Few weights are distinct, and only Python rounds to decimals as Python does.
        rest = np.frombuffer(weights)[first:]
        distinct, which = np.unique(rest, return_inverse=True)
        rest[:] = np.array([_round(weight * factor) for weight in distinct.tolist()])[which]
        return
    for place in range(first, len(weights)):
        weights[place] = _round(weights[place] * factor)


def _number(number: str) -> float:
    try:
        return float(number)
    except ValueError:
        return 1.0


def _add_escaped(scan: Scan, text: str, start: int, end: int) -> None:
    """An escaped character belongs to the piece before it, unless a space stands between."""
    if scan.texts and scan.text[start - 1 : start] != " ":
        scan.texts[-1] += text
        scan.spans[-1] = (scan.spans[-1][0], end)
    else:
        scan.add(text, start, end)


def _add_run(scan: Scan, token: str, start: int, native: bool) -> None:
    at = 0
    for found in _BREAK.finditer(token):
        # White space goes before BREAK and after ##.
        before = token[at : found.start()]
        _add_text(scan, before.rstrip() if found[0] == "BREAK" else before, start + at, native)
        scan.add("BREAK", start + found.start(), start + found.end(), -1.0)
        at = found.end()
        if found[0] == "##":
            at = len(token) - len(token[at:].lstrip())
    _add_text(scan, token[at:], start + at, native)


def _add_text(scan: Scan, text: str, start: int, native: bool) -> None:
    end = start + len(text)
    if native:
        text = _SPACES.sub(" ", _NOT_WORD.sub("", text)).strip()
        if not text:
            return
    scan.add(text, start, end)
