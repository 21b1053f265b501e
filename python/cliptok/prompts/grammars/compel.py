"""compel's grammar: `word++`, `(several words)1.3`, `("a", "b").blend(1, 0.5)`, `.and()`, `.swap()`, `withLora()`."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from cliptok.prompts.grammars.compel_nodes import Lora, Swapped, Text, Unit, Weighted
from cliptok.prompts.grammars.compel_reader import Reader
from cliptok.prompts.limits import Limits
from cliptok.prompts.tree import Member, Network, Notice, Parsed, Part, Pieces, Swap

_ESCAPE = re.compile(r'(?<!\\)(\\+)(?=[()"])')
_OTHER_ESCAPE = re.compile(r"\\([+\-.,=])")


_NOTHING = [Weighted(1.0, [])]  # what "()" holds


def parse(text: str, limits: Limits, *, drops_rest: bool = True, keeps_escapes: bool = True) -> Parsed:
    """The parts of a prompt. Escapes of `+ - . , =` keep their backslash unless `keeps_escapes=False`.

    What follows `.and()` is lost in compel; `drops_rest=False` refuses it. Raises PromptError for what compel raises
    on: counts of weights that do not fit, text after `.blend()`, `.swap()` in a blend, nothing to encode.
    """
    reader = Reader(text, limits)
    if not reader.text.strip():
        return Parsed.flat(text, Pieces([""], [1.0], [(0, len(text))]))
    return _flatten(reader, *reader.conjunction(drops_rest), keeps_escapes)


class _Loose(NamedTuple):
    """A piece before neighbours are fused."""

    text: str
    weight: float
    start: int
    end: int
    words: int


class _LooseSwap(NamedTuple):
    original: list[_Loose]
    edited: list[_Loose]
    options: dict[str, Any]


def _flatten(reader: Reader, units: list[Unit], dropped: int | None, keeps_escapes: bool) -> Parsed:
    """Units with their weights multiplied out, equal neighbours fused, LoRAs and swaps apart."""
    parsed = Parsed(reader.original, [])
    if dropped is not None:
        parsed.notices.append(Notice(reader.place(dropped), "dropped", "what follows .and() is not encoded"))
    for unit in units:
        members = []
        for items in unit.members:
            if not items:
                continue
            loose = _walk(items, 1.0, reader, parsed, swaps=not unit.blend)
            if loose:
                members.append(_member(loose, reader, parsed, keeps_escapes))
        if not members:
            continue
        if len(members) != len(unit.weights):
            raise reader.error("a prompt of the .blend() has nothing to encode", 0, 'write "" for an empty prompt')
        for member, weight in zip(members, unit.weights, strict=True):
            member.weight = weight
        if unit.normalize and sum(unit.weights) == 0:
            raise reader.error(
                "the weights of .blend() sum to 0, and dividing by that gives no numbers",
                0,
                "add no_normalize, or give other weights",
            )
        parsed.parts.append(Part(members, unit.weight, unit.normalize))
    if not parsed.parts:
        raise reader.error("there is nothing to encode", 0, 'write "" for an empty prompt')
    return parsed


def _walk(items: list[Any], scale: float, reader: Reader, parsed: Parsed, swaps: bool) -> list[Any]:
    """Texts and swaps in order with their weights; LoRAs go to `parsed`."""
    result: list[Any] = []
    todo: list[tuple[Any, float]] = [(item, scale) for item in reversed(items)]
    while todo:
        item, scale = todo.pop()
        if isinstance(item, Text):
            result.append(_Loose(item.text, scale, item.start, item.end, item.words))
        elif isinstance(item, Weighted):
            todo += [(child, scale * item.weight) for child in reversed(item.items)]
        elif isinstance(item, Lora):
            parsed.networks.append(Network("lora", item.name, (f"{item.weight:g}",)))
        elif not swaps:
            raise reader.error(
                ".swap() cannot be inside .blend() or .swap()", item.start, "write the edited prompt out"
            )
        else:
            sides = [
                _walk(
                    side if side and side != _NOTHING else [Text("", item.start, item.start)],
                    scale,
                    reader,
                    parsed,
                    swaps=False,
                )
                for side in (item.original, item.edited)
            ]
            result.append(_LooseSwap(sides[0], sides[1], _swap_options(item, reader)))
    return result


def _swap_options(item: Swapped, reader: Reader) -> dict[str, Any]:
    options: dict[str, Any] = {"s_start": 0.0, "s_end": 0.0, "t_start": 0.2, "t_end": 1.0}
    given = dict(item.options)
    freedom = given.pop("shape_freedom", None)
    if freedom is not None:
        if not isinstance(freedom, float) or freedom < 0:
            raise reader.error(f"shape_freedom is {freedom!r}", item.start, "give a number from 0 to 1")
        options["s_end"] = 1.0 - freedom ** (1.0 / 3.0)
    return {**options, **given}


def _member(loose: list[Any], reader: Reader, parsed: Parsed, keeps_escapes: bool) -> Member:
    """The pieces of the prompt as it stands, and those of the edited prompt if it has swaps."""
    if not any(isinstance(item, _LooseSwap) for item in loose):
        return Member(_fuse(loose, reader, keeps_escapes))
    pieces, edited = Pieces([], [], []), Pieces([], [], [])
    run: list[_Loose] = []
    for item in [*loose, None]:
        if isinstance(item, _Loose):
            run.append(item)
            continue
        fused = _fuse(run, reader, keeps_escapes)
        pieces.extend(fused)
        edited.extend(fused)
        run = []
        if item is not None:
            sides = [_fuse(side, reader, keeps_escapes) for side in (item.original, item.edited)]
            parsed.swaps.append(Swap(sides[0], sides[1], item.options))
            pieces.extend(sides[0])
            edited.extend(sides[1])
    return Member(pieces, edited=edited)


def _fuse(run: list[_Loose], reader: Reader, keeps_escapes: bool) -> Pieces:
    """Neighbours of equal weight, joined with a space."""
    pieces = Pieces([], [], [])
    at = 0
    while at < len(run):
        weight = run[at].weight
        stop = at + 1
        while stop < len(run) and run[stop].weight == weight:
            stop += 1
        text = " ".join([item.text for item in run[at:stop]])
        pieces.texts.append(_unescaped(run[at:stop], keeps_escapes) if "\\" in text else text)
        pieces.weights.append(weight)
        pieces.spans.append((reader.place(run[at].start), reader.place(run[stop - 1].end)))
        at = stop
    return pieces


def _unescaped(items: list[_Loose], keeps_escapes: bool) -> str:
    """The text of pieces that are fused.

    compel takes a backslash off before each bracket or quote whenever it makes a fragment: twice, and at every fusion
    once more for all that is fused by then.
    """
    texts = []
    fusions = sum(item.words for item in items) - 1
    number = 0
    for item in items:
        texts.append(_unescape(item.text, 2 + fusions - max(number - 1, 0), keeps_escapes))
        number += item.words
    return " ".join(texts)


def _unescape(text: str, times: int, keeps_escapes: bool) -> str:
    text = _ESCAPE.sub(lambda found: found[1][: max(len(found[1]) - times, 0)], text)
    return text if keeps_escapes else _OTHER_ESCAPE.sub(r"\1", text)
