"""A run's results as a file, as a chart and as the documentation's tables.

python benches/gpu/tables.py benches/results/gpu-....json     # the tables in docs/encoder.md anew
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

import machine
import plot
from inputs import ROOT

PAGE = ROOT / "docs" / "encoder.md"
BEGIN, END = "<!-- gpu: written by benches/gpu/tables.py -->", "<!-- gpu: end -->"
Record = dict[str, Any]


def save(record: Record, folder: Path) -> Path:
    """`gpu-<date>-<device>.json`, and the chart and the tables beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"gpu-{machine.file_name(record, device_name(record))}"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if bars := chart_rows(record):
        parts, height = plot.bars(24, 28, 812, f"Texts per second, {device_name(record)} (logarithmic)", bars, _count)
        picture = plot.page(860, height + 40, parts, "Throughput of cliptok's text encoder beside transformers")
        path.with_suffix(".svg").write_text(picture, encoding="utf-8")
    path.with_suffix(".md").write_text(tables(record), encoding="utf-8")
    return path


def rows_of(record: Record, step: str, what: str = "") -> list[Record]:
    """Rows of a step that begin with `what`, but for those that were found wrong."""
    rows = (row for row in record["rows"] if row["step"] == step and row["what"].startswith(what))
    return [row for row in rows if "wrong" not in row]


def device_name(record: Record) -> str:
    return next((str(row["name"]) for row in rows_of(record, "device", "device")), "unknown")


def chart_rows(record: Record) -> list[tuple[str, float, str]]:
    """Name, rate and words of each bar."""
    bars = []
    for row in rows_of(record, "texts"):
        if "ours" in row and row["dtype"] == "float16":
            bars.append((f"cliptok, {row['what']}", row["ours"], _count(row["ours"])))
            for how, rate in row["peers"].items():
                times = f"{_count(rate)}, cliptok {row['ratios'][how]:.1f}×"
                bars.append((f"transformers {how}, {row['what']}", rate, times))
    for row in rows_of(record, "conditioning", "77 positions, batch 128"):
        if row["dtype"] == "float16":
            bars.append(("cliptok, 77 positions", row["texts_per_s"], _count(row["texts_per_s"])))
            bars += [
                (name, row["texts_per_s"] / ratio, f"published, cliptok {ratio:.1f}×")
                for name, ratio in row["times_anchor"].items()
            ]
    return bars


def tables(record: Record) -> str:
    """Markdown: what ran where, throughput, latency, layers."""
    found = next(iter(rows_of(record, "device", "device")), {})
    lines = [
        f"On one {device_name(record)}, torch {found.get('torch')}, CUDA {found.get('cuda')}, {record['date'][:10]}; "
        "ViT-L/14 with random weights. Ours includes tokenizing, transformers starts from ids on the device.",
        "",
        "| texts per second | dtype | cliptok | transformers, padded to 77 | transformers, sorted by length |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows_of(record, "texts"):
        if "ours" in row:
            peers = (f"{rate:,.0f} ({row['ratios'][how]:.1f} times)" for how, rate in row["peers"].items())
            cells = (f"{row['what']} ({row['count']:,})", row["dtype"], f"{row['ours']:,.0f}", *peers)
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        f"| {row['what'].removeprefix('fused, ')}, `CLIPTOK_KERNELS=torch` | {row['dtype']} | "
        f"{row['peers']['torch']:,.0f} (fused {row['ratios']['torch']:.2f} times) | | |"
        for row in rows_of(record, "fused", "fused, ")
        if "ours" in row
    ]
    lines += [
        f'| {row["what"].removeprefix("fp8, ")}, `quantize("fp8")` | {row["dtype"]} | '
        f"{row['ours']:,.0f} ({row['ratios']['half']:.2f} times {row['dtype']}) | | |"
        for row in rows_of(record, "eight_bit", "fp8, ")
        if "ours" in row
    ]
    lines += [
        "",
        "| milliseconds a call | dtype | cliptok | transformers (compiled where it says so) |",
        "| --- | --- | --- | --- |",
    ]
    for row in (*rows_of(record, "texts", "one"), *rows_of(record, "conditioning")):
        lines.append(
            f"| {row['what']} | {row.get('dtype', 'float16')} | {row['ours_ms']:.2f} | {row['transformers_ms']:.2f} |"
        )
    lines += [
        f"| {row['what']}, {how} | float16 | {row['ours_' + key]:.2f} | {row['compiled_' + key]:.2f} |"
        for how, key in (("one call", "one_ms"), ("calls in a row", "ms"))
        for row in rows_of(record, "compiled")
        if "compiled_ms" in row
    ]
    for row in rows_of(record, "conditioning", "77 positions, batch 128"):
        lines += [
            f"\nAll 77 positions, batch 128, {row['dtype']}: {row['texts_per_s']:,.0f} texts/s, "
            + " and ".join(f"{ratio:.2f} times {name}" for name, ratio in row["times_anchor"].items())
            + " (published)."
        ]
    return "\n".join(lines) + "\n"


def write_tables(record: Record) -> None:
    """Between the two marks of the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{tables(record)}{END}{rest.split(END)[1]}", encoding="utf-8")


def _count(value: float) -> str:
    return f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value / 1e3:.3g} k" if value >= 1e3 else f"{value:.3g}"


if __name__ == "__main__":
    write_tables(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
