"""The page of benchmarks: the charts, and every figure of the newest results in `benches/results`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path("benches/results")

_INTRO = """# Benchmarks

Each suite checks first that all contenders give the same results, then times them in turn, round after round, so that a
busy machine slows all of them alike. Figures are medians. Run them on your own machine:

```sh
make bench           # the tokenizer beside its peers, a few minutes
make bench-loader    # torch's DataLoader
make bench-batch     # files to files
make bench-encoder   # the text encoder
make gpu             # the text encoder on a GPU
```
"""


def page() -> str:
    """The page's Markdown; the chart lies beside it."""
    parts = [_INTRO, "![the tokenizer beside its peers](chart.svg)\n"]
    suites = [("Tokenizer", _newest("2*.json")), ("Training loaders", _newest("loader/*.json"))]
    for title, found in suites:
        parts += [f"## {title}\n", _machine(found), *map(_case, found["cases"])]
    batch = _newest("batch-*.json")
    parts += ["## Files to files\n", _machine(batch), _batch(batch["tokenize"])]
    parts.append("## Text encoder\n")
    for path in sorted(RESULTS.glob("encoder-*.json")):
        found = json.loads(path.read_text())
        parts += [f"### {found['dtype']}\n", _machine(found), _encoder(found)]
    return "\n".join(parts)


def _newest(pattern: str) -> dict[str, Any]:
    found = [json.loads(path.read_text()) for path in RESULTS.glob(pattern)]
    return max(found, key=lambda results: str(results["date"]))


def _machine(found: dict[str, Any]) -> str:
    machine = found["machine"]
    return f"On {machine['cpus']} cores of {machine['cpu']}, Python {machine['python']}, {found['date'][:10]}.\n"


def _case(case: dict[str, Any]) -> str:
    lines = [f"### {case['title']}\n", "| | median | the first is |\n| --- | --- | --- |"]
    first = case["contenders"][0]["cost_median"]
    for contender in case["contenders"]:
        cost = contender["cost_median"]
        lines.append(f"| {contender['name']} | {_quantity(cost, case['unit'])} | {_digits(cost / first)} x |")
    return "\n".join(lines) + "\n"


def _quantity(cost: float, unit: str) -> str:
    """A cost as people think of it: memory, the time of a call, or so many of a unit in a second."""
    if unit == "MiB":
        return f"{cost:,.1f} MiB"
    if unit == "calls":
        return next(f"{_digits(cost * factor)} {name}" for factor, name in _TIMES if cost * factor >= 1 or name == "ns")
    return f"{_digits(1e-6 / cost)} MB/s" if unit == "bytes" else f"{_digits(1e-3 / cost)} thousand/s"


_TIMES = ((1, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns"))


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _batch(found: dict[str, Any]) -> str:
    lines = [f"{found['captions']:,} captions, Parquet to Parquet.\n", "| | texts/s |\n| --- | --- |"]
    for name, rate in found["texts_per_second"].items():
        lines.append(f"| {'the tokenizer alone, in memory' if name == 'alone' else name} | {rate:,.0f} |")
    return "\n".join(lines) + "\n"


def _encoder(found: dict[str, Any]) -> str:
    lines = ["| texts/s | cliptok | transformers padded | transformers sorted |\n| --- | --- | --- | --- |"]
    for row in found["rows"]:
        peers = [f"{row['peers'][name]:,.1f}" if name in row["peers"] else "" for name in ("padded", "sorted")]
        lines.append(f"| {row['texts']} | {row['ours']:,.1f} | {' | '.join(peers)} |")
    return "\n".join(lines) + "\n"
