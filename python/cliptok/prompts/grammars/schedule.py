"""AUTOMATIC1111's prompt editing: `[before:after:step]` and `[a|b|c]`.

The web UI reads this with an Earley parser. Every bracket pair that is well formed all through is a node; whatever is
not, with all brackets around it, is text. One pass with a stack finds that.
"""

from __future__ import annotations

import dataclasses
import re
from typing import NamedTuple

from cliptok.prompts.errors import PromptError
from cliptok.prompts.limits import Limits

_TOKEN = re.compile(r"\\.|[^\\\[\]():|]+|[\[\]():|]")
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+))\s*")


class Scheduled(NamedTuple):
    """`[before:after:when]`; `when` is the number as written."""

    before: list[Node]
    after: list[Node]
    when: str
    start: int


class Alternate(NamedTuple):
    """`[a|b|...]`, one after the other from step to step."""

    options: list[list[Node]]
    start: int


Node = str | Scheduled | Alternate


@dataclasses.dataclass
class _Open:
    """A bracket that is not closed yet: what came since, split at the colons and bars of its own level."""

    bracket: str
    start: int
    fields: list[list[Node]] = dataclasses.field(default_factory=lambda: [[]])
    separators: str = ""

    def spilled(self) -> list[Node]:
        """The same as plain text, for a bracket that turned out to mean nothing."""
        nodes: list[Node] = [self.bracket, *self.fields[0]]
        for separator, field in zip(self.separators, self.fields[1:], strict=True):
            nodes.append(separator)
            nodes += field
        return nodes


def parse(text: str, limits: Limits) -> list[Node] | None:
    """The nodes of a prompt, or None if the web UI cannot read it and uses it unchanged.

    Raises PromptError for brackets nested deeper than the limit.
    """
    if "[" not in text:
        return [text]
    top: list[Node] = []
    stack: list[_Open] = []
    read = 0
    for found in _TOKEN.finditer(text):
        if found.start() != read:
            return None  # a backslash with nothing after it, or a new line
        read = found.end()
        token = found[0]
        if token in ("(", "["):
            stack.append(_Open(token, found.start()))
            limits.check_depth(len(stack), text, found.start())
        elif token in (":", "|"):
            if stack:
                stack[-1].separators += token
                stack[-1].fields.append([])
            else:
                top.append(token)
        elif token in (")", "]"):
            node = _close(stack[-1], token) if stack else None
            if node is None:
                # It means nothing, and so do all brackets around it.
                for opened in stack:
                    top += opened.spilled()
                stack.clear()
                top.append(token)
            else:
                stack.pop()
                (stack[-1].fields[-1] if stack else top).extend(node)
        else:
            (stack[-1].fields[-1] if stack else top).append(token)
    if read != len(text):
        return None
    for opened in stack:
        top += opened.spilled()
    return None if "|" in top else top


def _close(opened: _Open, token: str) -> list[Node] | None:
    """What a bracket pair is, or None if it is not well formed."""
    colons, bars = opened.separators.count(":"), opened.separators.count("|")
    if opened.bracket == "(":
        if token != ")" or bars or colons > 1:
            return None
        return [*opened.spilled(), token]
    if token != "]" or (bars and colons):
        return None
    if bars:
        return [Alternate(opened.fields, opened.start)]
    if not colons:
        return ["[", *opened.fields[0], "]"]
    if colons > 2:
        return None
    last = opened.fields[-1]
    number = _NUMBER.fullmatch(last[0]) if len(last) == 1 and isinstance(last[0], str) else None
    if number is None:
        return None
    before = opened.fields[0] if colons == 2 else []
    return [Scheduled(before, opened.fields[-2], number[1], opened.start)]


class Steps(NamedTuple):
    """What numbers in a schedule count: `steps` sampler steps, after `before` steps of a first pass (0 for none)."""

    steps: int
    before: int = 0
    hires: bool = False
    old: bool = False

    def step_of(self, number: str) -> int:
        """The last step of what stands before the number."""
        value = float(number)
        if self.old:
            step = value * self.steps if value < 1 else value
        elif "." in number:
            step = (value - (1.0 if self.hires else 0.0)) * self.steps
        else:
            step = value - (self.before if self.hires else 0)
        return min(self.steps, int(step))


def schedule(text: str, steps: Steps, limits: Limits) -> list[tuple[int, str]]:
    """Pairs of a step and the text up to and with that step, ascending, the last at `steps.steps`."""
    nodes = parse(text, limits)
    if nodes is None:
        return [(steps.steps, text)]
    ends = {steps.steps}
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, Scheduled):
            try:
                end = steps.step_of(node.when)
            except OverflowError:
                raise PromptError(
                    f"the step {node.when[:20]} is not finite", text=text, start=node.start, remedy="write a finite one"
                ) from None
            if end >= 1:
                ends.add(end)
            todo += node.before
            todo += node.after
        elif isinstance(node, Alternate):
            ends.update(range(1, steps.steps + 1))
            for option in node.options:
                todo += option
    return [(end, _text_at(nodes, end, steps)) for end in sorted(ends)]


def _text_at(nodes: list[Node], step: int, steps: Steps) -> str:
    parts: list[str] = []
    todo: list[Node] = list(reversed(nodes))
    while todo:
        node = todo.pop()
        if isinstance(node, str):
            parts.append(node)
        elif isinstance(node, Scheduled):
            todo += reversed(node.before if step <= steps.step_of(node.when) else node.after)
        else:
            todo += reversed(node.options[(step - 1) % len(node.options)])
    return "".join(parts)


def first_edit(text: str, limits: Limits) -> int | None:
    """Where the first schedule or alternation stands, None if there is none."""
    nodes = parse(text, limits) if "[" in text else None
    places: list[int] = []
    todo = list(nodes or [])
    while todo:
        node = todo.pop()
        if not isinstance(node, str):
            places.append(node.start)
    return min(places, default=None)
