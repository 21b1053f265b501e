"""SwarmUI's prompts: `[before:after:when]`, `[a|b|c]` and `<break>` around ComfyUI's grammar.

A bracket means something by the separators at its own level: bars, or one or two colons, whichever comes first. A
backslash takes that from a separator; every bracket around takes one level of backslashes away.
"""

from __future__ import annotations

import dataclasses
import re

from cliptok.prompts.errors import PromptError
from cliptok.prompts.grammars import comfyui
from cliptok.prompts.limits import Limits
from cliptok.prompts.tree import Member, Parsed, Part, Pieces

BREAK = "<break>"
_MARK = re.compile(r"[\[\]:|]")
_ESCAPE = re.compile(r"\\([\\\[\]:|()<>])")
# What is no syntax is kept out of sight, at its length: escaped brackets, and the colon of embeddings.
_HIDDEN = {"\\[": "\0\1", "\\]": "\0\2", "embedding:": "embedding\3"}


def parse(text: str, limits: Limits, *, stray_closes: bool = True) -> Parsed:
    """The pieces of each section between `<break>`s, as parts of their own. Brackets are plain text here."""
    parts: list[Part] = []
    found = Parsed(text, parts)
    shown: list[Pieces] = []
    start = 0
    for section in text.split(BREAK):
        one = comfyui.parse(section, limits, stray_closes=stray_closes)
        pieces = one.pieces
        pieces.spans = [(start + first, start + last) for first, last in pieces.spans]
        found.notices += [notice._replace(start=start + notice.start) for notice in one.notices]
        parts.append(Part([Member(pieces)]))
        shown.append(pieces)
        start += len(section) + len(BREAK)
    if len(parts) > 1:
        found.shown = _with_breaks(shown)
    return found


def _with_breaks(sections: list[Pieces]) -> Pieces:
    result = Pieces([], [], [])
    breaks = []
    for number, pieces in enumerate(sections):
        if number:
            at = result.spans[-1][1] if result.spans else 0
            breaks.append(len(result))
            result.extend(Pieces([BREAK], [1.0], [(at, at + len(BREAK))]))
        result.extend(pieces)
    result.breaks = breaks
    return result


@dataclasses.dataclass(slots=True)
class _Change:
    """What a bracket says: texts in turn, or one until a step and another from it on."""

    start: int
    fields: list[list[str | _Change]]
    when: float | None
    """None for texts in turn."""
    error: PromptError | None = None
    """Nothing is wrong with what a bracket around takes as text."""

    def at(self, step: int) -> list[str | _Change]:
        if self.when is None:
            return self.fields[step % len(self.fields)]
        return self.fields[1 if step >= self.when else 0]


@dataclasses.dataclass(slots=True)
class _Open:
    """A bracket that is not closed yet: what came since, split at the separators of its level."""

    start: int
    kind: str = ""
    """What separates: bars or colons, whichever came first."""
    fields: list[list[str | _Change]] = dataclasses.field(default_factory=lambda: [[]])
    ends: list[int] = dataclasses.field(default_factory=list)
    """Where each field ends but the last."""


def schedule(text: str, steps: int, limits: Limits) -> list[tuple[int, str]]:
    """Pairs of a step, from 1, and the text up to and with that step, ascending; neighbours differ.

    Raises PromptError for a number that is none, and for a last bracket that is never closed, on both of which SwarmUI
    crashes.
    """
    nodes, changes = _read(_hidden(text), steps, limits)
    if not changes:
        return [(steps, plain(text))]
    result: list[tuple[int, str]] = []
    for step in range(steps):
        now = _shown(_text_at(nodes, step))
        if result and result[-1][1] == now:
            result.pop()
        result.append((step + 1, now))
    return result


def first_edit(text: str, limits: Limits) -> int | None:
    """Where the first bracket stands that changes the prompt from step to step, None if there is none."""
    return min(_read(_hidden(text), 1, limits)[1], default=None) if "[" in text else None


def plain(text: str) -> str:
    """The text of a prompt without changes."""
    return text.replace("\\[", "[").replace("\\]", "]")


def _hidden(text: str) -> str:
    for shown, stand_in in _HIDDEN.items():
        text = text.replace(shown, stand_in)
    return text


def _shown(text: str) -> str:
    return text.replace("\0\1", "[").replace("\0\2", "]").replace("\3", ":")


def _read(text: str, steps: int, limits: Limits) -> tuple[list[str | _Change], list[int]]:
    """The nodes of a prompt, and where brackets stand that change it. Raises PromptError for numbers that are none."""
    size = _readable(text)
    top: list[str | _Change] = []
    stack: list[_Open] = []
    read = 0
    for found in _MARK.finditer(text, 0, size):
        at, mark = found.start(), found[0]
        if mark == "[":
            (stack[-1].fields[-1] if stack else top).append(text[read:at])
            stack.append(_Open(at))
            limits.check_depth(len(stack), text, at)
        elif not stack:
            continue
        elif mark == "]":
            opened = stack.pop()
            opened.fields[-1].append(text[read:at])
            (stack[-1].fields[-1] if stack else top).append(_closed(opened, text, at, len(stack), steps))
        elif stack[-1].kind not in ("", mark) or _backslashes(text, at) >> (len(stack) - 1) & 1:
            continue
        else:
            stack[-1].kind = mark
            stack[-1].fields[-1].append(text[read:at])
            stack[-1].fields.append([])
            stack[-1].ends.append(at)
        read = at + 1
    top.append(text[read:])
    changes = []
    todo = [node for node in top if isinstance(node, _Change)]
    while todo:
        change = todo.pop()
        if change.error is not None:
            raise change.error
        changes.append(change.start)
        todo += [node for field in change.fields for node in field if isinstance(node, _Change)]
    return top, changes


def _backslashes(text: str, end: int) -> int:
    """How many stand before a position."""
    start = end
    while start and text[start - 1] == "\\":
        start -= 1
    return end - start


def _readable(text: str) -> int:
    """Where the first bracket stands that is never closed: from there on all is text."""
    unclosed: list[int] = []
    first = text.find("[")
    for found in re.finditer(r"[\[\]]", text):
        if found[0] == "[":
            unclosed.append(found.start())
        elif unclosed:
            unclosed.pop()
    if not unclosed:
        return len(text)
    if len(unclosed) == 1 and unclosed[0] != first:
        raise PromptError("'[' is never closed", text=_shown(text), start=unclosed[0], remedy="close it, or write \\[")
    return unclosed[0]


def _closed(opened: _Open, text: str, end: int, depth: int, steps: int) -> str | _Change:
    fields = opened.fields
    colons = len(fields) - 1 if opened.kind == ":" else 0
    if opened.kind != "|" and colons not in (1, 2):
        return _unescaped(text[opened.start + 1 : end], depth)
    # A field with brackets in it is read once more, without a level of backslashes.
    fields = [
        [_unescaped(node, depth + (len(field) > 1)) if isinstance(node, str) else node for node in field]
        for field in fields
    ]
    if opened.kind == "|":
        return _Change(opened.start, fields, None)
    number = text[opened.ends[-1] + 1 : end]
    both = [[], fields[0]] if colons == 1 else fields[:2]
    try:
        when = float(number)
    except ValueError:
        remedy = "write a step such as 5 or a fraction such as 0.5, or \\[ for a bracket that is text"
        message, at = f"{_shown(number)!r} is no number", opened.ends[-1] + 1
        return _Change(opened.start, both, 0.0, PromptError(message, text=_shown(text), start=at, remedy=remedy))
    return _Change(opened.start, both, when * steps if when < 1 else when)


def _unescaped(text: str, times: int) -> str:
    for _ in range(times):
        if "\\" not in text:
            break
        text = _ESCAPE.sub(r"\1", text)
    return text


def _text_at(nodes: list[str | _Change], step: int) -> str:
    parts: list[str] = []
    todo = list(reversed(nodes))
    while todo:
        node = todo.pop()
        if isinstance(node, str):
            parts.append(node)
        else:
            todo += reversed(node.at(step))
    return "".join(parts)
