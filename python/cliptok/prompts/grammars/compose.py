"""What AUTOMATIC1111's web UI does to a prompt before it looks at brackets: styles, comments, networks, AND."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from cliptok.prompts.tree import Network

_COMMENT_LINE = re.compile(r"(^|\n)#[^\n]*(\n|$)")
_COMMENT = re.compile(r"#[^\n]*(\n|$)")
_NETWORK = re.compile(r"<(\w+):([^>]+)>")
_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"\s*([-+]?(?:\d+\.?|\d*\.\d+))\s*")


def with_style(prompt: str, style: str) -> str:
    """The style with the prompt in place of `{prompt}`, or after the prompt and a comma."""
    if "{prompt}" in style:
        return style.replace("{prompt}", prompt)
    return ", ".join(part for part in (prompt.strip(), style.strip()) if part)


def without_comments(prompt: str) -> str:
    """The prompt with every `#` and the rest of its line replaced by a new line."""
    if "#" not in prompt:
        return prompt
    return _COMMENT.sub("\n", _COMMENT_LINE.sub("\n", prompt))


def without_networks(prompt: str) -> tuple[str, list[Network]]:
    """The prompt without `<kind:name:argument...>`, and these."""
    end = prompt.rfind(">") + 1
    if not end or "<" not in prompt:
        return prompt, []
    networks: list[Network] = []

    def take(found: re.Match[str]) -> str:
        name, *arguments = found[2].split(":")
        networks.append(Network(found[1], name, tuple(arguments)))
        return ""

    # What follows the last `>` is no network: looking there again and again would take quadratic time.
    return _NETWORK.sub(take, prompt[:end]) + prompt[end:], networks


class Subprompt(NamedTuple):
    text: str
    weight: float
    start: int
    """Where it begins in the prompt."""
    weighted: bool
    """Whether its weight is written."""


def split_and(prompt: str, fixed: Collection[str] = ()) -> Sequence[Subprompt]:
    """The parts between ANDs. A number after a colon at the end of a part is its weight and leaves the text.

    `fixed` names what is mended: "capital-and", by which AND is a word of a prompt in capitals, and "weight-at-end", by
    which a number at the end of a prompt without AND is text.
    """
    if "AND" not in prompt and ":" not in prompt:
        return [Subprompt(prompt.rstrip(), 1.0, 0, False)]
    ands = list(_AND.finditer(prompt))
    if "capital-and" in fixed and prompt.upper() == prompt:
        ands = []
    if "weight-at-end" in fixed and not ands:
        return [Subprompt(prompt.rstrip(), 1.0, 0, False)]
    parts = []
    start = 0
    for found in [*ands, None]:
        stop = len(prompt) if found is None else found.start()
        text = prompt[start:stop]
        colon = text.rfind(":")
        number = _WEIGHT.fullmatch(text, colon + 1) if colon >= 0 else None
        if number is None:
            parts.append(Subprompt(text.rstrip(), 1.0, start, False))
        else:
            parts.append(Subprompt(text[:colon].rstrip(), float(number[1]), start, True))
        start = stop if found is None else found.end()
    return parts
