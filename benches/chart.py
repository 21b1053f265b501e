"""The README's chart from a file of results: throughput by peer, ours by threads and batch size, cost as text grows.

usage: python benches/chart.py RESULTS.json CHART.svg
"""

import json
import sys
from pathlib import Path
from typing import Any

import plot
from case import GIGATOKEN, OURS

WIDTH = 860
HALF = 410
PLOT = 230
"""Height of a panel with lines."""


def draw(results: dict[str, Any]) -> str:
    """The SVG. A case that was skipped leaves its panel out."""
    cases = {case["name"]: case for case in results["cases"] if "contenders" in case}
    parts, y = [], 28.0
    rows = _throughput(cases)
    if rows:
        title = "Captions per second to (n, 77) ids (logarithmic)"
        found, height = plot.bars(24, y, WIDTH - 48, title, rows, _count)
        parts += found
        y += height + 26
    panels = [panel for panel in (_threads, _batches, _text, _word) if _case_of[panel] in cases]
    for i, panel in enumerate(panels):
        parts += panel(cases[_case_of[panel]], 24 + (i % 2) * (HALF + 4), y + i // 2 * (PLOT + 22))
    y += (len(panels) + 1) // 2 * (PLOT + 22)
    machine, versions = results["machine"], results["versions"]
    where = f"{machine['cpu']}, {machine['cpus']} CPUs, Python {machine['python']}, {str(results['date'])[:10]}"
    peers = ("transformers", "tokenizers", "open_clip_torch", "instant-clip-tokenizer", "kitoken", "gigatoken")
    names = ", ".join(f"{name} {versions[name]}" for name in peers if name in versions)
    parts += [plot.text(24, y, where, "faint"), plot.text(24, y + 16, names, "faint")]
    return plot.page(WIDTH, y + 32, parts, "Throughput of cliptok beside other CLIP tokenizers")


def _throughput(cases: dict[str, Any]) -> list[tuple[str, float, str]]:
    """Ours and the peers on captions, fastest first. Behind a peer stands how many times that ours does."""
    rows = []
    for case, own in (("torch", f"{OURS}, torch with mask"), ("int64", f"{OURS}, int64")):
        for contender in cases.get(case, {}).get("contenders", ()):
            name, rate = contender["name"], 1 / contender["cost_median"]
            if name == OURS:
                rows.append((own, rate, _count(rate)))
            elif not name.startswith(("(", OURS)):
                times = f"{_count(rate)}, {OURS} {_digits(contender['ratio_to_first'])}×"
                rows.append((f"{name}, no CLIP" if name == GIGATOKEN else name, rate, times))
    for case, variant, own in (
        ("int64", f"{OURS} out=", f"{OURS}, int64 out="),
        ("dtypes", f"{OURS} uint16 out=", f"{OURS}, uint16 out="),
        ("arrow", OURS, f"{OURS}, Arrow to int32 out="),
    ):
        for contender in cases.get(case, {}).get("contenders", ()):
            if contender["name"] == variant:
                rate = 1 / contender["cost_median"]
                rows.append((own, rate, _count(rate)))
    return sorted(rows, key=lambda row: -row[1])


def _threads(case: dict[str, Any], x: float, y: float) -> list[str]:
    series = [(name, [(n, 1 / cost) for n, cost in points]) for name, points in _series(case)]
    marks = sorted({n for _, points in series for n, _ in points})
    return plot.lines(
        x, y, (HALF, PLOT), "cliptok by threads, captions per second", series,
        lambda n: f"{n:g}", _count, y_log=False, x_marks=marks,
    )  # fmt: skip


def _batches(case: dict[str, Any], x: float, y: float) -> list[str]:
    series = [(name, [(n, 1 / cost) for n, cost in points]) for name, points in _series(case)]
    return plot.lines(x, y, (HALF, PLOT), "cliptok by batch size, captions per second", series, _count, _count)


def _text(case: dict[str, Any], x: float, y: float) -> list[str]:
    return _growth(case, x, y, "Time for one text by its bytes")


def _word(case: dict[str, Any], x: float, y: float) -> list[str]:
    return _growth(case, x, y, "Time for one word by its letters")


def _growth(case: dict[str, Any], x: float, y: float, title: str) -> list[str]:
    series = [(name, [(n, cost * n) for n, cost in points]) for name, points in _series(case)]
    return plot.lines(x, y, (HALF, PLOT), title, series, _count, _time)


_case_of = {_threads: "threads", _batches: "batch-sizes", _text: "text-growth", _word: "word-growth"}


def _series(case: dict[str, Any]) -> list[tuple[str, list[tuple[float, float]]]]:
    """Each line's name and its (x, cost of one) points."""
    found: dict[str, list[tuple[float, float]]] = {}
    for contender in case["contenders"]:
        found.setdefault(contender["series"], []).append((contender["x"], contender["cost_median"]))
    return list(found.items())


def _count(value: float) -> str:
    for factor, unit in ((1e6, " M"), (1e3, " k")):
        if value >= factor * 0.9995:
            return f"{_digits(value / factor)}{unit}"
    return _digits(value)


def _time(seconds: float) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 0.9995:
            return f"{_digits(seconds * factor)} {unit}"
    return f"{_digits(seconds * 1e9)} ns"


def _digits(value: float) -> str:
    """Three digits at most, without zeros that say nothing."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}".rstrip("0").rstrip(".") if value >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(draw(json.loads(source.read_text(encoding="utf-8"))), encoding="utf-8")
