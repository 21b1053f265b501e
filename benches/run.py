"""Measures cliptok beside its peers. `make bench` runs all of it; `python benches/run.py --help` tells the rest."""

import argparse
import json
import sys
from pathlib import Path
from time import perf_counter

import machine
from agree import IdsDifferError
from case import Bench, Skip
from cases import CASES
from chart import draw
from inputs import ROOT, explain
from measure import measure

import report

RESULTS = ROOT / "benches" / "results"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure cliptok beside its peers.")
    parser.add_argument("--smoke", action="store_true", help="everything small, in under a minute; writes nothing")
    parser.add_argument("--case", action="append", choices=CASES, help="only this case; may be given again")
    parser.add_argument("--repeats", type=int, help="rounds per case (default: 5, in a smoke run 1)")
    parser.add_argument("--out", type=Path, help="folder for the results (default: benches/results, if all cases run)")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    bench = Bench(options.smoke)
    described = machine.describe()
    cpu, versions = machine.cpu_name(), machine.versions()
    print(f"{cpu}, {machine.available_cpus()} CPUs, {machine.memory_gib()} GiB; {versions}")
    print(explain(), flush=True)
    records, bars, began = [], [], perf_counter()
    for name, build in CASES.items():
        if options.case and name not in options.case:
            continue
        try:
            case = build(bench)
        except Skip as skip:
            print(f"\n[{name}] skipped: {skip}", flush=True)
            records.append({"name": name, "skipped": str(skip)})
            continue
        except IdsDifferError as difference:
            print(f"\n[{name}] ids differ, so nothing is timed: {difference}", file=sys.stderr)
            return 1
        case.judged = case.judged and not options.smoke
        rounds = options.repeats or case.rounds or (1 if options.smoke else 5)
        measure(case.contenders, rounds, 0.005 if options.smoke else case.least or 0.1)
        print(report.table(case, case.conditions(cpu, versions)), flush=True)
        records.append(report.record(case))
        bars += report.verdicts(case)
        del case  # With its texts and arrays, before the next one's.
    print("\n" + "\n".join(map(str, bars)))
    print(f"\n{perf_counter() - began:.0f} seconds")
    folder = options.out or (None if options.smoke or options.case else RESULTS)
    if folder is not None:
        write(folder, {**described, "cases": records}, charts=not options.case)
    return 0


def write(folder: Path, results: dict[str, object], charts: bool) -> None:
    """The results as JSON, and when all cases ran the chart that they make."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / machine.file_name(results)
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"Wrote {path}")
    if charts:
        chart = folder / "chart.svg"
        chart.write_text(draw(results), encoding="utf-8")
        print(f"Wrote {chart}")


if __name__ == "__main__":
    sys.exit(main())
