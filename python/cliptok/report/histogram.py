"""The histogram of token counts as SVG: bars up to the line are kept whole, bars beyond it are truncated."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cliptok.report.numbers import number, percent, short

if TYPE_CHECKING:
    import numpy.typing as npt

WIDE, NARROW = 880, 400
"""Widths of the drawing, for a page and for a telephone."""
_HEIGHT = 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 34, 48
_MOST_BARS = 110


class Bars(NamedTuple):
    """Bar i counts the texts of `start + i * width` tokens and the next `width - 1` numbers of tokens."""

    start: int
    width: int
    texts: list[int]
    longer: int
    """Texts of more tokens than the last bar takes."""


def bars(histogram: "npt.NDArray[Any]", max_length: int, like: "tuple[npt.NDArray[Any], int] | None" = None) -> Bars:
    """Bars of one width, none of them on both sides of `max_length`.

    They end where a thousandth of the texts is left, but not before a quarter past `max_length`, nor after four times
    it. `histogram` holds the texts by their number of tokens. `like` are another histogram and length that the end and
    the width are found by, for drawings that are to be compared.
    """
    all_texts, longest = like or (histogram, max_length)
    reached = int(np.searchsorted(np.cumsum(all_texts), 0.999 * all_texts.sum()))
    end = min(max(reached, longest + longest // 4), 4 * longest, len(histogram) - 1)
    width = next(width for width in _round_numbers() if end / width <= _MOST_BARS)
    start = -(-(max_length + 1) % width)
    edges = range(start, end + 1, width)
    texts = [int(histogram[max(edge, 0) : edge + width].sum()) for edge in edges]
    return Bars(start, width, texts, int(histogram[edges[-1] + width :].sum()))


def _round_numbers() -> Iterator[int]:
    scale = 1
    while True:
        yield from (scale, 2 * scale, 5 * scale)
        scale *= 10


def draw(found: Bars, max_length: int, width: int = WIDE) -> str:
    """The bars as an SVG element of this width; page.css has its colours."""
    total = sum(found.texts) + found.longer
    step = (width - _LEFT - _RIGHT) / (len(found.texts) + (2 if found.longer else 0))
    base, right = _HEIGHT - _BOTTOM, width - _RIGHT
    highest = max(*found.texts, found.longer)

    def x(tokens: float) -> float:
        return _LEFT + (tokens - found.start) / found.width * step

    def y(texts: float) -> float:
        return base - texts / highest * (base - _TOP)

    def bar(left: float, texts: int, kind: str, tokens: str) -> str:
        tip = f"<title>{tokens}: {number(texts, 'text')}, {percent(texts, total)}</title>"
        gap, top = min(step * 0.12, 1.5), min(y(texts), base - 1)  # One text among millions can be seen.
        box = f'x="{left + gap:.1f}" y="{top:.1f}" width="{step - 2 * gap:.1f}" height="{base - top:.1f}"'
        return f'<rect class="{kind}" {box}>{tip}</rect>'

    parts = []
    for texts in _ticks(highest, 5):
        parts += [_line("grid", _LEFT, y(texts), right, y(texts))]
        parts += [_label("tick", "end", _LEFT - 8, y(texts) + 4, short(texts))]
    last, truncated = found.start + len(found.texts) * found.width, found.longer
    room = right - 60 if found.longer else right
    below = base + 18
    parts += [_label("tick", "middle", x(t + 0.5), below, str(t)) for t in _ticks(last, width // 73) if x(t) < room]
    for first, texts in zip(range(found.start, last, found.width), found.texts, strict=True):
        if texts:
            many = f"{max(first, 0)} to {first + found.width - 1} tokens"
            tokens = many if found.width > 1 else number(first, "token")
            parts.append(bar(x(first), texts, "truncated" if first > max_length else "kept", tokens))
            truncated += texts if first > max_length else 0
    if found.longer:
        parts.append(bar(x(last) + step, found.longer, "truncated", f"{last} tokens or more"))
        parts.append(_label("tick", "end", right, below, "longer"))
    limit, above = x(max_length + 1), _TOP - 4
    parts += [_line("axis", _LEFT, base, right, base), _line("limit", limit, _TOP - 12, limit, base)]
    fit, lost = f"{max_length} tokens fit", f"{percent(truncated, total)} are truncated" if truncated else ""
    if width == NARROW:  # There is no room beside the line for both.
        anchor = "end" if limit > (_LEFT + right) / 2 else "start"
        said = f"{fit}, {percent(truncated, total)} truncated" if truncated else fit
        parts.append(_label("limit", anchor, limit, above - 8, said))
    elif limit > _LEFT + 100:
        parts += [_label("limit", "end", limit - 8, above, fit), _label("truncated", "start", limit + 8, above, lost)]
    else:  # There is room on one side alone.
        parts.append(_label("limit", "start", limit + 8, above, fit))
        parts.append(_label("truncated", "start", limit + 110, above, lost))
    parts.append(_label("label", "middle", (_LEFT + right) / 2, _HEIGHT - 8, "tokens per text"))
    parts.append(_label("label", "end", _LEFT, _TOP - 18, "texts"))
    named = f"Histogram of {number(total, 'text')} by tokens, with a line behind {max_length}"
    kind = "wide" if width == WIDE else "narrow"
    opening = f'<svg class="{kind}" viewBox="0 0 {width} {_HEIGHT}" role="img" aria-label="{named}">'
    return f"{opening}{''.join(parts)}</svg>"


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _label(kind: str, anchor: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}">{text}</text>'


def _ticks(highest: int, most: int) -> range:
    """Round numbers from 0 up to `highest`, `most` steps or fewer."""
    return range(0, highest + 1, next(step for step in _round_numbers() if highest / step <= most))
