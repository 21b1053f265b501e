"""ComfyUI's grammar: nested `(text:number)`, where the innermost number replaces and does not multiply."""

from __future__ import annotations

import re
from bisect import bisect_left

from cliptok.prompts.limits import Limits
from cliptok.prompts.tree import Notice, Parsed, Pieces

_MARKS = re.compile(r"\\[()]|[()]|:")
_ESCAPED = re.compile(r"\\([()])")


def parse(text: str, limits: Limits, *, stray_closes: bool = True) -> Parsed:
    """The pieces of a prompt, neither joined nor trimmed.

    A `)` that closes nothing counts in ComfyUI: until a `(` makes up for it, brackets are text. `stray_closes=False`
    mends that. Raises PromptError for brackets nested deeper than the limit.
    """
    if "(" not in text and ")" not in text:
        return Parsed.flat(text, Pieces([text], [1.0], [(0, len(text))]) if text else Pieces([], [], []))
    marks = _Marks(text, limits)
    pieces = Pieces([], [], [])
    notices: list[Notice] = []
    # Ranges still to read, the next on top: (start, end, weight, whether to look for brackets in it).
    todo: list[tuple[int, int, float, bool]] = [(0, len(text), 1.0, True)]
    while todo:
        start, end, weight, whole = todo.pop()
        if not whole:
            part = text[start:end]
            pieces.texts.append(_ESCAPED.sub(r"\1", part) if "\\" in part else part)
            pieces.weights.append(weight)
            pieces.spans.append((start, end))
            continue
        inside: list[tuple[int, int, float, bool]] = []
        for first, last in marks.split(start, end, stray_closes, notices):
            # Brackets are ASCII and escapes start with a backslash: the first and last characters decide.
            if last - first >= 2 and marks.opens(first) and marks.closes(last - 1):
                new = weight * 1.1
                inner = last - 1
                colon = marks.last_colon(first + 1, inner)
                if colon is not None and colon > first + 1:
                    number = marks.number(colon, inner)
                    if number is not None:
                        new, inner = number, colon
                inside.append((first + 1, inner, new, True))
            else:
                inside.append((first, last, weight, False))
        todo += reversed(inside)
    return Parsed.flat(text, pieces, notices)


class _Marks:
    """The brackets and colons of a text, so that no range is searched twice."""

    def __init__(self, text: str, limits: Limits) -> None:
        self.text = text
        self.at: list[int] = []  # positions of unescaped brackets
        self.colons: list[int] = []
        self.closing: dict[int, int] = {}  # "(" to its ")"
        self.kind: dict[int, str] = {}
        self.index: dict[int, int] = {}
        open_brackets: list[int] = []
        for found in _MARKS.finditer(text):
            mark, position = found[0], found.start()
            if mark == ":":
                self.colons.append(position)
                continue
            if len(mark) == 2:
                continue
            self.index[position] = len(self.at)
            self.at.append(position)
            self.kind[position] = mark
            if mark == "(":
                open_brackets.append(position)
                limits.check_depth(len(open_brackets), text, position)
            elif open_brackets:
                self.closing[open_brackets.pop()] = position

    def opens(self, position: int) -> bool:
        return self.kind.get(position) == "("

    def closes(self, position: int) -> bool:
        return self.kind.get(position) == ")"

    def split(self, start: int, end: int, stray_closes: bool, notices: list[Notice]) -> list[tuple[int, int]]:
        """Ranges between and of the brackets at level 0, as ComfyUI's level counter finds them."""
        ranges: list[tuple[int, int]] = []
        begun, level = start, 0
        which = bisect_left(self.at, start)
        while which < len(self.at) and self.at[which] < end:
            position = self.at[which]
            if self.kind[position] == "(":
                if level == 0:
                    if begun < position:
                        ranges.append((begun, position))
                    begun = position
                    close = self.closing.get(position)
                    if close is None or close >= end:
                        notices.append(Notice(position, "open", "'(' is never closed: it and the rest are text"))
                        break
                    ranges.append((position, close + 1))
                    begun = close + 1
                    which = self.index[close] + 1
                    continue
                level += 1
            elif stray_closes:
                level -= 1
                if level == -1:
                    message = "')' closes nothing, and the next '(' only makes up for it"
                    notices.append(Notice(position, "stray", message))
            which += 1
        if begun < end:
            ranges.append((begun, end))
        return ranges

    def last_colon(self, start: int, end: int) -> int | None:
        which = bisect_left(self.colons, end) - 1
        return self.colons[which] if which >= 0 and self.colons[which] >= start else None

    def number(self, colon: int, end: int) -> float | None:
        """What Python's `float` makes of the text after a colon, None if it refuses."""
        which = bisect_left(self.at, colon)
        if which < len(self.at) and self.at[which] < end:
            return None  # brackets are no number: without this, nested ones are read over and over
        try:
            return float(self.text[colon + 1 : end])
        except ValueError:
            return None
