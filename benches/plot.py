"""Just enough of a drawing library: panels with axes, bars and lines, as SVG that is readable on light and on dark."""

import math
from collections.abc import Callable, Sequence
from html import escape

STYLE = """
  text { font: 12px system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 14px }
  .faint { fill: #57606a; font-size: 11px }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .halo { stroke: #ffffff; stroke-width: 4 } /* over a line of the grid */
  .paper { fill: #ffffff }
  .s0 { fill: #0969da; stroke: #0969da } .s1 { fill: #bc4c00; stroke: #bc4c00 }
  .s2 { fill: #1a7f37; stroke: #1a7f37 } .s3 { fill: #8250df; stroke: #8250df }
  .other { fill: #afb8c1; stroke: #afb8c1 }
  rect, circle { stroke: none !important } polyline { fill: none !important; stroke-width: 2; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .faint { fill: #9198a1 } .grid { stroke: #3d444d } .paper { fill: #0d1117 }
    .halo { stroke: #0d1117 }
    .s0 { fill: #4493f8; stroke: #4493f8 } .s1 { fill: #f0883e; stroke: #f0883e }
    .s2 { fill: #3fb950; stroke: #3fb950 } .s3 { fill: #ab7df8; stroke: #ab7df8 }
    .other { fill: #656c76; stroke: #656c76 }
  }
"""

Line = tuple[str, Sequence[tuple[float, float]]]
"""A name and its points."""


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def page(width: float, height: float, parts: Sequence[str], title: str) -> str:
    """The whole picture."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
            f' height="{height:g}" role="img" aria-label="{escape(title)}">',
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{width:g}" height="{height:g}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def bars(
    x: float, y: float, width: float, title: str, rows: Sequence[tuple[str, float, str]], tick: Callable[[float], str]
) -> tuple[list[str], float]:
    """Horizontal bars on a logarithmic scale: (name, value, words at its end). Returns the parts and their height.

    Names that begin with "cliptok" are ours and stand out.
    """
    label, value_room, step = 190, 150, 22
    low = 10 ** math.floor(math.log10(min(value for _, value, _ in rows) * 0.7))
    high = max(value for _, value, _ in rows)
    scale = (width - label - value_room) / math.log10(high / low)
    left, top = x + label, y + 16
    bottom = top + step * len(rows) + 2
    parts = [text(x, y, title, "title")]
    power = low
    while power <= high:
        at = left + scale * math.log10(power / low)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
        parts.append(text(at, bottom + 14, tick(power), "faint", "middle"))
        power *= 10
    for i, (name, value, words) in enumerate(rows):
        at, length = top + step * i + 4, scale * math.log10(value / low)
        kind = "s0" if name.startswith("cliptok") else "other"
        parts.append(text(left - 8, at + 12, name, "", "end"))
        parts.append(f'<rect class="{kind}" x="{left:.1f}" y="{at:.1f}" width="{length:.1f}" height="16" rx="2"/>')
        parts += [text(left + length + 6, at + 12, words, kind) for kind in ("halo", "")]
    return parts, bottom + 20 - y


def lines(
    x: float,
    y: float,
    size: tuple[float, float],
    title: str,
    series: Sequence[Line],
    x_tick: Callable[[float], str],
    y_tick: Callable[[float], str],
    x_log: bool = True,
    y_log: bool = True,
    x_marks: Sequence[float] = (),
) -> list[str]:
    """Lines over two axes, each named in a row below the title."""
    width, height = size
    xs = [point[0] for _, points in series for point in points]
    ys = [point[1] for _, points in series for point in points]
    left, right, top, bottom = x + 52, x + width - 14, y + 34, y + height - 22
    x_at = _axis(min(xs), max(xs), left, right, x_log)
    low, high = (min(ys), max(ys)) if y_log else (0.0, max(ys) * 1.08)
    y_marks = _powers(low, high) if y_log else _steps(high)
    if y_log:
        low, high = min(low, y_marks[0]), max(high, y_marks[-1])
    y_at = _axis(low, high, bottom, top, y_log)
    parts = [text(x, y, title, "title")]
    for mark in y_marks:
        at = y_at(mark)
        parts.append(f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(text(left - 6, at + 4, y_tick(mark), "faint", "end"))
    marks = [mark for mark in x_marks or _powers(min(xs), max(xs)) if min(xs) <= mark <= max(xs)]
    parts += [text(x_at(mark), bottom + 16, x_tick(mark), "faint", "middle") for mark in marks]
    name_at = x
    for i, (name, points) in enumerate(series):
        kind = f"s{i}"
        where = " ".join(f"{x_at(px):.1f},{y_at(py):.1f}" for px, py in points)
        parts.append(f'<polyline class="{kind}" points="{where}"/>')
        parts += [f'<circle class="{kind}" cx="{x_at(px):.1f}" cy="{y_at(py):.1f}" r="2.6"/>' for px, py in points]
        parts.append(f'<circle class="{kind}" cx="{name_at + 4:.1f}" cy="{y + 16:.1f}" r="4"/>')
        parts.append(text(name_at + 12, y + 20, name, "faint"))
        name_at += 24 + 6.2 * len(name)
    return parts


def _axis(low: float, high: float, begin: float, end: float, log: bool) -> Callable[[float], float]:
    if high <= low:
        return lambda value: (begin + end) / 2
    if log:
        return lambda value: begin + (end - begin) * math.log(value / low) / math.log(high / low)
    return lambda value: begin + (end - begin) * (value - low) / (high - low)


def _powers(low: float, high: float) -> list[float]:
    """Powers of ten from the one at or below `low` to the one at or above `high`, thinned to about six."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    step = max(1, math.ceil((last - first) / 6))
    return [10.0**power for power in range(first, last + 1, step)]


def _steps(high: float) -> list[float]:
    """Round numbers from 0 to below `high`."""
    rough = high / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [step * i for i in range(int(high / step) + 1)]
