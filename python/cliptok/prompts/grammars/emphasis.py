"""The grammar of AUTOMATIC1111's web UI and its relatives: `(more)`, `[less]`, `(this:1.3)`, `BREAK`.

A scanner, not a parser: brackets need not match, and round and square ones keep separate stacks.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator

from cliptok.prompts.errors import PromptError
from cliptok.prompts.limits import Limits
from cliptok.prompts.tree import Notice, Parsed, Pieces

UP = 1.1
DOWN = 1 / 1.1

# Escapes, a lone backslash, brackets, a number that closes a bracket, a run of anything else, a lone colon.
_SPACED = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:\s*([+-]?[.\d]+)\s*\)|\)|\]|[^\\()\[\]:]+|:")
_TIGHT = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:([+-]?[.\d]+)\)|\)|\]|[^\\()\[\]:]+|:")
_SYNTAX = re.compile(r"[\\()\[\]]|\bBREAK\b")
_BREAK = re.compile(r"\bBREAK\b")


def parse(
    text: str,
    limits: Limits,
    *,
    breaks: bool = True,
    spaced: bool = True,
    marker: bool = True,
    merge: bool = True,
    break_in_brackets: bool = False,
) -> Parsed:
    """The pieces of a prompt, equal neighbours joined.

    `breaks` splits at BREAK; without `marker` the word that is left there is text at weight -1, which is what tools do
    that copied the splitting and not its handling. `spaced` allows white space around the number of a weight.
    `merge=False` and `break_in_brackets=True` mend two oddities: neighbours of equal weight become one word, and BREAK
    inside brackets becomes the word "break".

    Raises PromptError for a number such as `1.2.3` and for brackets nested deeper than the limit.
    """
    if _SYNTAX.search(text) is None:
        return Parsed.flat(text, Pieces([text], [1.0], [(0, len(text))]))
    scan = Scan(text, limits)
    at_break: list[int] = []
    for found in (_SPACED if spaced else _TIGHT).finditer(text):
        token, number = found.group(0, 1)
        first = token[0]
        if first == "\\":
            scan.add(token[1:], found.start(), found.end())
        elif first == "(" or first == "[":
            scan.open(first, found.start())
        elif number is not None and scan.round:
            scan.close("(", weight_of(number, text, found.start()))
        elif first == ")" and scan.round:
            scan.close("(", UP)
        elif first == "]" and scan.square:
            scan.close("[", DOWN)
        else:
            if number is not None:
                scan.notices.append(Notice(found.start(), "literal", f"{token!r} closes no bracket and is text"))
            if not breaks or "BREAK" not in token:
                scan.add(token, found.start(), found.end())
                continue
            for part, start, end, is_break in split_breaks(token, found.start()):
                if is_break:
                    at_break.append(len(scan.texts))
                scan.add(part, start, end, -1.0 if is_break else 1.0)
    scan.close_all()
    pieces = scan.pieces()
    for number_of in at_break:
        if break_in_brackets:
            pieces.weights[number_of] = -1.0
        weight = pieces.weights[number_of]
        if weight != -1.0:
            message = f'BREAK inside brackets is the word "break" at weight {weight:g}'
        elif not marker:
            message = f'BREAK is the word "break" at weight {weight:g} here'
        else:
            continue
        scan.notices.append(Notice(pieces.spans[number_of][0], "break", message))
    if merge:
        pieces = merged(pieces)
    if marker:
        pieces.breaks = _breaks(pieces)
    return Parsed.flat(text, pieces, scan.notices)


def _breaks(pieces: Pieces) -> list[int]:
    """Where a chunk ends: at what reads BREAK and weighs -1, as the web UI knows it."""
    if -1.0 not in pieces.weights:
        return []
    both = zip(pieces.texts, pieces.weights, strict=True)
    return [number for number, (text, weight) in enumerate(both) if weight == -1.0 and text == "BREAK"]


class Scan:
    """Pieces so far, the brackets that are open, and the multiplications that closing them means."""

    def __init__(self, text: str, limits: Limits) -> None:
        self.text, self.limits = text, limits
        self.texts: list[str] = []
        self.spans: list[tuple[int, int]] = []
        self.weights = array("d")
        self.round: list[tuple[int, int]] = []
        self.square: list[tuple[int, int]] = []
        self.notices: list[Notice] = []

    def add(self, text: str, start: int, end: int, weight: float = 1.0) -> None:
        self.texts.append(text)
        self.spans.append((start, end))
        self.weights.append(weight)

    def open(self, bracket: str, start: int) -> None:
        (self.round if bracket == "(" else self.square).append((len(self.texts), start))
        self.limits.check_depth(len(self.round) + len(self.square), self.text, start)

    def close(self, bracket: str, factor: float) -> None:
        first, _ = (self.round if bracket == "(" else self.square).pop()
        self.multiply(first, factor)

    def multiply(self, first: int, factor: float) -> None:
        weights = self.weights
        if len(weights) - first > 64:
            import numpy as np

            np.frombuffer(weights)[first:] *= factor
            return
        for place in range(first, len(weights)):
            weights[place] *= factor

    def close_all(self) -> None:
        """What is open at the end weighs all that follows it."""
        for stack, factor, bracket in ((self.round, UP, "("), (self.square, DOWN, "[")):
            for first, start in stack:
                self.multiply(first, factor)
                self.notices.append(Notice(start, "open", f"{bracket!r} is never closed and weighs the rest"))

    def pieces(self) -> Pieces:
        if not self.texts:
            return Pieces([""], [1.0], [(0, len(self.text))])
        return Pieces(self.texts, self.weights.tolist(), self.spans)


def weight_of(number: str, text: str, start: int) -> float:
    try:
        return float(number)
    except ValueError:
        raise PromptError(
            f"{number!r} is no number",
            text=text,
            start=start,
            remedy="write a weight such as 1.2, or escape the bracket",
        ) from None


def split_breaks(token: str, start: int) -> Iterator[tuple[str, int, int, bool]]:
    """Text, start, end and whether it is a BREAK; white space around a BREAK goes, and parts may be empty."""
    at = 0
    previous = False
    for found in _BREAK.finditer(token):
        part = token[at : found.start()].rstrip()
        part = part.lstrip() if previous else part
        yield part, start + at, start + found.start(), False
        yield "BREAK", start + found.start(), start + found.end(), True
        at, previous = found.end(), True
    rest = token[at:].lstrip() if previous else token[at:]
    yield rest, start + at, start + len(token), False


def merged(pieces: Pieces, spaced: bool = False) -> Pieces:
    """Neighbours whose weights are equal floating-point numbers become one piece.

    Nothing comes between them, or if `spaced` a space after a letter or digit.
    """
    weights = pieces.weights
    starts = [number for number, weight in enumerate(weights) if not number or weight != weights[number - 1]]
    if len(starts) == len(weights):
        return pieces
    texts, spans = [], []
    for start, stop in zip(starts, [*starts[1:], len(weights)], strict=True):
        run = pieces.texts[start:stop]
        if spaced:
            run = [text + " " if text[-1:].isalnum() else text for text in run[:-1]] + run[-1:]
        texts.append("".join(run))
        spans.append((pieces.spans[start][0], pieces.spans[stop - 1][1]))
    return Pieces(texts, [weights[start] for start in starts], spans)
