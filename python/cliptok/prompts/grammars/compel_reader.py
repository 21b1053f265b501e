"""compel's grammar: `word++`, `(several words)1.3`, `("a", "b").blend(1, 0.5)`, `.and()`, `.swap()`, `withLora()`.

A parsing expression grammar: at each place the first alternative that fits is taken. compel's own parser reads the
inside of brackets again for every alternative, which takes exponential time; this one reads brackets from right to left
and remembers what each one holds, so that nothing is read twice and nothing recurses.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any

from cliptok.prompts.errors import PromptError
from cliptok.prompts.grammars.compel_nodes import Lora, Swapped, Text, Unit, Weighted
from cliptok.prompts.limits import Limits

_WHITE = re.compile(r"[ \t\n\r]*")
_WORD = re.compile(
    r'(?:\\[()",.+\-=]'
    r'|[+-](?![ \t\n\r()",.+\-=]|\Z)'
    r'|[^ \t\n\r\x0b\x0c()",.+\-=])+'
)
# Words that are nothing but words, read all at once: without syntax, and with none after their white space. In
# brackets, commas are texts of their own.
_PLAIN = re.compile(
    r'(?:(?!useLora|withLora)(?:[^ \t\n\r\x0b\x0c()".+\-=\\]|\.(?!swap|attend))+'
    r"(?:[ \t\n\r]+(?=[^ \t\n\r.])|[ \t\n\r]*\Z))+"
)
_PLAIN_INSIDE = re.compile(
    r'(?:(?:,|(?!useLora|withLora)[^ \t\n\r\x0b\x0c()",.+\-=\\]+'
    r"(?=[,)]|[ \t\n\r]+[^ \t\n\r.]|[ \t\n\r]*\Z))[ \t\n\r]*)+"
)
_PLAIN_ITEMS = re.compile(r"[^ \t\n\r,]+|,")
_WHITES = re.compile(r"[ \t\n\r]+")
_BRACKETS = re.compile(r"[()]")
_FREE = re.compile(r"[^ \t\n\r\x0b\x0c]+")
_SIGNS = re.compile(r"\++|-+")
_NUMBER = re.compile(r"\d+\.\d*|\.\d+|[0-9]+")
_SIGNED = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)|-?[0-9]+")
_KEYWORD = re.compile(r"[A-Za-z0-9_-]+")
_QUOTE = re.compile(r'"(?:\\"|[^"\n\r])*"')
_LORA = re.compile(r"useLora|withLora")
_COMMA = re.compile(r",(\S)")
PLUS, MINUS = 1.1, 0.9


_Found = tuple[list[Any], int]  # items, and where they end


class Reader:
    def __init__(self, original: str, limits: Limits) -> None:
        self.original = original
        self.text, self.inserted = _space_commas(original)
        self.limits = limits
        self.size = len(self.text)
        self.parens: dict[tuple[int, int], _Found | None] = {}
        self.quotes: dict[int, _Found | None] = {}
        self.replacements: dict[tuple[int, int], tuple[list[Any], dict[str, Any], int] | None] = {}
        self._prepare()

    def place(self, position: int) -> int:
        """A position in the original text."""
        return position - bisect_right(self.inserted, position - 1)

    def error(self, message: str, position: int, remedy: str = "") -> PromptError:
        return PromptError(message, text=self.original, start=self.place(position), remedy=remedy)

    # -- reading ahead, from right to left

    def _prepare(self) -> None:
        text = self.text
        depth = 0
        brackets = []
        for mark in _BRACKETS.finditer(text):
            if mark[0] == "(":
                depth += 1
                self.limits.check_depth(depth, self.original, self.place(mark.start()))
                brackets.append(mark.start())
            else:
                depth = max(depth - 1, 0)
        # A quotation is closed by the next quote that is not escaped, or else by the last one of the line.
        spans = []
        place = text.find('"')
        while place >= 0:
            found = _QUOTE.match(text, place)
            if found is None:
                break
            spans.append((place, found.end() - 1))
            at = found.end() - 1
            place = at if text[at - 1] != "\\" else text.find('"', at + 1)
        marks = [(place, None) for place in brackets] + [(start, end) for start, end in spans]
        inside = sorted(spans)
        starts = [start for start, _ in inside]
        for place, end in sorted(marks, key=lambda mark: mark[0], reverse=True):
            if end is not None:
                self.quotes[place] = self._read_quote(place, end)
                continue
            which = bisect_right(starts, place) - 1
            ends = [self.size]
            if which >= 0 and place < inside[which][1]:
                ends.append(inside[which][1])
            for stop in ends:
                self.parens[place, stop] = self._read_paren(place, stop)
                self.replacements[place, stop] = self._read_replacement(place, stop)

    def _read_quote(self, start: int, end: int) -> _Found | None:
        if not self.text[start + 1 : end].strip():
            return [Text("", start, end + 1)], end + 1
        items, at = self.fragments(start + 1, end, ",.")
        return (items, end + 1) if self.skip(at, end) == end else None

    def _read_paren(self, start: int, end: int) -> _Found | None:
        items, at = self.fragments(start + 1, end, ",.")
        at = self.skip(at, end)
        # One item for all that is inside: copied into what is around it, level by level, it would take quadratic time.
        return ([Weighted(1.0, items)], at + 1) if at < end and self.text[at] == ")" else None

    def _read_replacement(self, start: int, end: int) -> tuple[list[Any], dict[str, Any], int] | None:
        """After `.swap`, from its bracket on: the items, the options, the end."""
        if not _ends_with_swap(self.text, start):
            return None
        items, at = self.fragments(start + 1, end, "")
        options: dict[str, Any] = {}
        comma = self.skip(at, end)
        if comma < end and self.text[comma] == ",":
            found, at = self.options(comma + 1, end)
            options = {option[0]: option[1] if len(option) > 1 else "" for option in found}
        at = self.skip(at, end)
        return (items, options, at + 1) if at < end and self.text[at] == ")" else None

    # -- the grammar, each rule from a position to an end

    def skip(self, at: int, end: int) -> int:
        found = _WHITE.match(self.text, at, end)
        assert found is not None
        return found.end()

    def fragments(self, at: int, end: int, marks: str) -> _Found:
        """LoRAs, weighted terms, swaps, brackets, quotes, words and the characters `marks`, as many as there are."""
        items: list[Any] = []
        while True:
            at = self.skip(at, end)
            if at >= end:
                return items, at
            if marks and (run := _PLAIN_INSIDE.match(self.text, at, end)) is not None:
                words = _PLAIN_ITEMS.findall(run[0])
                items.append(Text(" ".join(words), at, at + len(run[0].rstrip(" \t\n\r")), len(words)))
                at = run.end()
                continue
            target = self.target(at, end)
            found = self.lora(at, end) or self.attention(target, at, end) or self.swap(target, at, end) or target
            if found is not None:
                items += found[0]
                at = found[1]
            elif self.text[at] in marks:
                items.append(Text(self.text[at], at, at + 1))
                at += 1
            else:
                return items, at

    def prompt(self, at: int, end: int) -> _Found:
        items: list[Any] = []
        while True:
            at = self.skip(at, end)
            if at >= end:
                return items, at
            found = self.plain(at, end)
            if found is None:
                target = self.target(at, end)
                found = (
                    self.swap(target, at, end)
                    or self.lora(at, end)
                    or self.attention(target, at, end)
                    or self.bracketed(at, end)
                    or self.free(at, end)
                )
            if found is None:
                return items, at
            items += found[0]
            at = found[1]

    def plain(self, at: int, end: int) -> _Found | None:
        found = _PLAIN.match(self.text, at, end)
        if found is None:
            return None
        words = found[0].rstrip(" \t\n\r")
        text, gaps = _WHITES.subn(" ", words)
        return [Text(text, at, at + len(words), gaps + 1)], found.end()

    def bracketed(self, at: int, end: int) -> _Found | None:
        """What is quoted or in parentheses."""
        if self.text[at] == "(":
            return self.parens.get((at, end))
        if self.text[at] == '"':
            found = self.quotes.get(at)
            return found if found is not None and found[1] <= end else None
        return None

    def word(self, at: int, end: int) -> _Found | None:
        found = _WORD.match(self.text, at, end)
        return None if found is None else ([Text(found[0], at, found.end())], found.end())

    def free(self, at: int, end: int) -> _Found | None:
        found = _FREE.match(self.text, at, end)
        return None if found is None else ([Text(found[0], at, found.end())], found.end())

    def target(self, at: int, end: int) -> _Found | None:
        return self.bracketed(at, end) or self.word(at, end)

    def attention(self, target: _Found | None, at: int, end: int) -> _Found | None:
        """A target at `at` with its weight."""
        if target is None:
            return None
        items, after = target
        explicit = self.literal(".attend", after, end)
        if explicit is not None and (opened := self.literal("(", explicit, end)) is not None:
            weight = self.weight(self.skip(opened, end), end)
            if weight is not None and (closed := self.literal(")", weight[1], end)) is not None:
                return [Weighted(weight[0], items)], closed
        if after < end and self.text[after] not in " \t\n\r":
            weight = self.weight(after, end, numbers=self.text[at] in '("')
            if weight is not None:
                return [Weighted(weight[0], items)], weight[1]
        return None

    def weight(self, at: int, end: int, numbers: bool = True) -> tuple[float, int] | None:
        found = _SIGNS.match(self.text, at, end)
        if found is not None:
            return pow(PLUS if found[0][0] == "+" else MINUS, len(found[0])), found.end()
        found = _NUMBER.match(self.text, at, end) if numbers else None
        return None if found is None else (float(found[0]), found.end())

    def swap(self, target: _Found | None, at: int, end: int) -> _Found | None:
        """A target at `at` with what takes its place."""
        if target is None:
            return None
        after = self.literal(".swap", target[1], end)
        opened = None if after is None else self.skip(after, end)
        if opened is None or opened >= end or self.text[opened] != "(":
            return None
        replacement = self.replacements.get((opened, end))
        if replacement is None:
            return None
        items, options, stop = replacement
        return [Swapped(target[0], items, options, at)], stop

    def lora(self, at: int, end: int) -> _Found | None:
        found = _LORA.match(self.text, at, end)
        opened = None if found is None else self.literal("(", found.end(), end)
        name = None if opened is None else _KEYWORD.match(self.text, self.skip(opened, end), end)
        if name is None:
            return None
        weight, after = 1.0, name.end()
        comma = self.literal(",", after, end)
        if comma is not None:
            number = _SIGNED.match(self.text, self.skip(comma, end), end)
            if number is not None:
                weight, after = float(number[0]), number.end()
        closed = self.literal(")", after, end)
        return None if closed is None else ([Lora(name[0], weight)], closed)

    def literal(self, word: str, at: int, end: int) -> int | None:
        if at < end and self.text[at] in " \t\n\r":
            at = self.skip(at, end)
        return at + len(word) if self.text.startswith(word, at, end) else None

    def options(self, at: int, end: int) -> tuple[list[tuple[Any, ...]], int]:
        """Options between commas: `key=value`, a number as text, or a flag."""
        found: list[tuple[Any, ...]] = []
        last = at
        while True:
            option = self.option(self.skip(at, end), end)
            if option is None:
                return found, last
            found.append(option[0])
            last = option[1]
            comma = self.literal(",", last, end)
            if comma is None:
                return found, last
            at = comma

    def option(self, at: int, end: int) -> tuple[tuple[Any, ...], int] | None:
        key = _KEYWORD.match(self.text, at, end)
        if key is not None and (equals := self.literal("=", key.end(), end)) is not None:
            start = self.skip(equals, end)
            number = _SIGNED.match(self.text, start, end)
            if number is not None:
                return (key[0], float(number[0])), number.end()
            value = _KEYWORD.match(self.text, start, end)
            if value is not None:
                return (key[0], value[0]), value.end()
        number = _SIGNED.match(self.text, at, end)
        if number is not None:
            return (str(float(number[0])),), number.end()
        return None if key is None else ((key[0],), key.end())

    # -- whole prompts

    def conjunction(self, drops_rest: bool) -> tuple[list[Unit], int | None]:
        """The units of a prompt, and where the text begins that is dropped, if any."""
        end = self.size
        found = self.combined((".and", ".add"), 0)
        if found is not None:
            members, options, after = found
            weights = [self.number(option, after) for option in options] or [1.0] * len(members)
            if len(weights) != len(members):
                raise self.error(
                    f"{len(members)} prompts but {len(weights)} weights in .and()", 0, "give one weight for each"
                )
            rest = self.skip(after, end)
            if rest < end and not drops_rest:
                raise self.error("there is text after .and()", rest, "put it inside the brackets")
            units = [Unit([member], [1.0], weight) for member, weight in zip(members, weights, strict=True)]
            return units, rest if rest < end else None
        at, loras = self.loras(0)
        found = self.combined((".blend",), at)
        if found is None:
            items, at = self.prompt(at, end)
            units = [Unit([items], [1.0])]
        else:
            members, options, at = found
            normalize = not (options and options[-1][0] == "no_normalize")
            if not normalize:
                options = options[:-1]
            weights = [self.number(option, at) for option in options] or [1.0] * len(members)
            if len(weights) != len(members):
                raise self.error(
                    f"{len(members)} prompts but {len(weights)} weights in .blend()", 0, "give one weight for each"
                )
            units = [Unit(members, weights, 1.0, normalize, blend=True)]
        at, more = self.loras(at)
        at = self.skip(at, end)
        if at < end:
            what = "text after .blend()" if found is not None else f"the character {self.text[at]!r}"
            raise self.error(f"compel cannot read {what}", at, "take it out, or put it inside the brackets")
        return [Unit([list(loras)], [1.0]), *units, Unit([list(more)], [1.0])], None

    def loras(self, at: int) -> tuple[int, list[Lora]]:
        found: list[Lora] = []
        while (one := self.lora(self.skip(at, self.size), self.size)) is not None:
            found += one[0]
            at = one[1]
        return at, found

    def combined(
        self, operators: tuple[str, ...], at: int
    ) -> tuple[list[list[Any]], list[tuple[Any, ...]], int] | None:
        """`( item, ... ) operator ( options )`."""
        end = self.size
        opened = self.literal("(", at, end)
        if opened is None:
            return None
        members = []
        at = opened
        while True:
            start = self.skip(at, end)
            if start >= end:
                return None
            found = self.target(start, end) or self.quoted_prompt(start)
            if found is None:
                return None
            members.append(found[0])
            comma = self.literal(",", found[1], end)
            if comma is None:
                at = found[1]
                break
            at = comma
        closed = self.literal(")", at, end)
        if closed is None:
            return None
        for operator in operators:
            after = self.literal(operator, closed, end)
            opened = None if after is None else self.literal("(", after, end)
            if opened is not None:
                options, at = self.options(opened, end)
                stop = self.literal(")", at, end)
                return None if stop is None else (members, options, stop)
        return None

    def quoted_prompt(self, at: int) -> _Found | None:
        if self.text[at] != '"':
            return None
        found = _QUOTE.match(self.text, at)
        if found is None:
            return None
        end = found.end() - 1
        if not self.text[at + 1 : end].strip():
            return [Text("", at, end + 1)], end + 1
        items, after = self.prompt(at + 1, end)
        return (items, end + 1) if self.skip(after, end) == end else None

    def number(self, option: tuple[Any, ...], position: int) -> float:
        try:
            return float(option[0])
        except ValueError:
            raise self.error(f"{option[0]!r} is no weight", position, "give numbers between the brackets") from None


def _space_commas(text: str) -> tuple[str, list[int]]:
    """A space after every comma that has none, and where in the result these spaces stand."""
    inserted: list[int] = []

    def add(found: re.Match[str]) -> str:
        inserted.append(found.start() + 1 + len(inserted))
        return f", {found[1]}"

    return _COMMA.sub(add, text), inserted


def _ends_with_swap(text: str, at: int) -> bool:
    while at and text[at - 1] in " \t\n\r":
        at -= 1
    return text.endswith(".swap", 0, at)
