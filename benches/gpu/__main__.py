"""All that is open until a GPU is there, in under eight minutes: `make gpu`, or `python benches/gpu`.

    python benches/gpu --smoke            # everything small, in seconds, judged by nobody
    python benches/gpu --steps texts      # some of the steps

Runs the tests that need CUDA, compares every kernel with float64, says which attention kernel runs, and measures beside
transformers: see `steps.py`. Each step is a process of its own with its own time: a step that fails or is late loses
neither its earlier rows nor the steps after it, and ends the run with status 1. Writes `gpu-<date>-<device>.json` and a
chart into `--out`, and the tables of the documentation where that is `benches/results`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

import machine
from inputs import ROOT
from steps import STEPS
from tables import save, write_tables

if TYPE_CHECKING:
    from settings import Settings

RESULTS = ROOT / "benches" / "results"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="everything small, in seconds")
    parser.add_argument("--minutes", type=float, default=7.8, help="when the last step is stopped")
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=list(STEPS))
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)  # in a step's process: where its rows go
    options = parser.parse_args()
    if options.rows:
        (name,) = options.steps
        from settings import Settings

        run_step(name, Settings(options.smoke), options.rows)
        return 0
    deadline = time.monotonic() + 60 * options.minutes
    record: dict[str, Any] = {**machine.describe(), "smoke": options.smoke, "steps": {}, "rows": []}
    for name in options.steps:
        start = time.monotonic()
        seconds = min(STEPS[name].seconds, deadline - start)
        status, rows = in_process(name, options.smoke, seconds) if seconds > 5 else ("not started, out of time", [])
        record["steps"][name] = {"status": status, "seconds": round(time.monotonic() - start, 1)}
        record["rows"] += rows
        print(f"{name}: {status}, {record['steps'][name]['seconds']} s", flush=True)
    path = save(record, options.out)
    print(f"written to {path} and beside it")
    if options.out == RESULTS and not options.smoke:
        write_tables(record)
    return int(any(step["status"] != "ok" for step in record["steps"].values()))


def in_process(name: str, smoke: bool, seconds: float) -> tuple[str, list[dict[str, Any]]]:
    """A step in a process of its own: how it ended, and its rows so far."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        path.touch()
        command = [sys.executable, str(Path(__file__).parent), "--steps", name, "--rows", str(path)]
        try:
            status = subprocess.run(command + ["--smoke"] * smoke, timeout=seconds, check=False).returncode
            ended = "ok" if status == 0 else f"failed with status {status}"
        except subprocess.TimeoutExpired:
            ended = f"late, stopped after {seconds:.0f} s"
        return ended, [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run_step(name: str, settings: "Settings", path: Path) -> None:
    """Each row into the file as soon as it is there, and on the terminal."""
    wrong: list[str] = []
    with path.open("a", encoding="utf-8") as file:
        for row in STEPS[name].run(settings):
            if settings.wrong:
                row["wrong"] = settings.wrong.copy()
                wrong += row["wrong"]
                settings.wrong.clear()
            file.write(json.dumps({"step": name, **row}) + "\n")
            file.flush()
            print("  " + ", ".join(f"{key} {_short(value)}" for key, value in row.items()), flush=True)
    if wrong:
        raise SystemExit("; ".join(wrong))


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_short(part)}" for key, part in value.items()) + ")"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
