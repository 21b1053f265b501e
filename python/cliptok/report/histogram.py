"""The histogram of token counts as SVG: bars up to the line are kept whole, bars beyond it are cut."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cliptok.report.numbers import number, percent, short

if TYPE_CHECKING:
    import numpy.typing as npt

_WIDTH, _HEIGHT = 880, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 34, 48
_MOST_BARS = 110


class Bars(NamedTuple):
    """Bar i counts the texts of `start + i * width` tokens and the next `width - 1` numbers of tokens."""

    start: int
    width: int
    texts: list[int]
    longer: int
    """Texts of more tokens than the last bar takes."""


def bars(histogram: "npt.NDArray[Any]", max_length: int) -> Bars:
    """Bars of one width, none of them on both sides of `max_length`.

    They end where a thousandth of the texts is left, but not before a quarter past `max_length`, nor after four times
    it. `histogram` holds the texts by their number of tokens.
    """
    reached = int(np.searchsorted(np.cumsum(histogram), 0.999 * histogram.sum()))
    end = min(max(reached, max_length + max_length // 4), 4 * max_length, len(histogram) - 1)
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


def draw(found: Bars, max_length: int) -> str:
    """The bars as an SVG element; page.css has its colours."""
    total = sum(found.texts) + found.longer
    columns = len(found.texts) + (2 if found.longer else 0)
    step = (_WIDTH - _LEFT - _RIGHT) / columns
    base = _HEIGHT - _BOTTOM
    highest = max(*found.texts, found.longer)

    def x(tokens: float) -> float:
        return _LEFT + (tokens - found.start) / found.width * step

    def y(texts: float) -> float:
        return base - texts / highest * (base - _TOP)

    def bar(left: float, texts: int, kind: str, what: str) -> str:
        top = min(y(texts), base - 1)  # A single text among millions can be seen.
        tip = f"<title>{what}: {number(texts, 'text')}, {percent(texts, total)}</title>"
        gap = min(step * 0.12, 1.5)
        box = f'x="{left + gap:.1f}" y="{top:.1f}" width="{step - 2 * gap:.1f}" height="{base - top:.1f}"'
        return f'<rect class="{kind}" {box}>{tip}</rect>'

    parts = [f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
             f'<text class="tick" x="{_LEFT - 8}" y="{y(t) + 4:.1f}" text-anchor="end">{short(t)}</text>'
             for t in _ticks(highest, 5)]  # fmt: skip
    last = found.start + len(found.texts) * found.width
    parts += [
        f'<text class="tick" x="{x(tokens + 0.5):.1f}" y="{base + 18}" text-anchor="middle">{tokens}</text>'
        for tokens in _ticks(last, 12)
        if not found.longer or x(tokens) < _WIDTH - _RIGHT - 60
    ]
    for at, texts in enumerate(found.texts):
        first = found.start + at * found.width
        what = f"{max(first, 0)} to {first + found.width - 1} tokens" if found.width > 1 else number(first, "token")
        if texts:
            parts.append(bar(x(first), texts, "cut" if first > max_length else "kept", what))
    if found.longer:
        parts.append(bar(x(last) + step, found.longer, "cut", f"{last} tokens or more"))
        parts.append(f'<text class="tick" x="{_WIDTH - _RIGHT}" y="{base + 18}" text-anchor="end">longer</text>')
    line = x(max_length + 1)
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>')
    parts.append(f'<line class="limit" x1="{line:.1f}" x2="{line:.1f}" y1="{_TOP - 12}" y2="{base}"/>')
    parts.append(
        f'<text class="limit" x="{line - 8:.1f}" y="{_TOP - 4}" text-anchor="end">{max_length} tokens fit</text>'
    )
    cut = (
        sum(texts for at, texts in enumerate(found.texts) if found.start + at * found.width > max_length) + found.longer
    )
    if cut:
        parts.append(f'<text class="cut" x="{line + 8:.1f}" y="{_TOP - 4}">{percent(cut, total)} are cut</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="label" x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">tokens per text</text>')
    parts.append(f'<text class="label" x="{_LEFT}" y="{_TOP - 18}" text-anchor="end">texts</text>')
    label = f"Histogram of {number(total, 'text')} by tokens, with a line behind {max_length}"
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _ticks(highest: int, most: int) -> range:
    """Round numbers from 0 up to `highest`, `most` steps or fewer."""
    return range(0, highest + 1, next(step for step in _round_numbers() if highest / step <= most))
