"""Jobs killed at random moments and resumed, until so many kills: `kills.py COUNT [SEED]`, or `make kills COUNT=200`.

Each round draws what is read and written, in this process, in two or on Ray. The job is killed with its whole session,
at any moment of the time that it would take, and resumed until it ends. Then its outputs must equal, byte for byte,
those of a job that nothing interrupted; nothing else may be left, and no committed part may have been made once more.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from support.made import csv, json_lines, packed, tar, text_file, tree

INPUTS = ("txt", "txt.gz", "jsonl", "csv", "parquet", "tar", "tar.zst")
OUTPUTS = ("parquet", "npy", "safetensors")
WAYS: tuple[dict[str, Any], ...] = ({}, {}, {"processes": 2}, {"ray": True})
ROWS, PART_ROWS = 60_000, 4_000

_RUN = """
import json, sys
from cliptok.batch import tokenize_files
report = tokenize_files(**json.loads(sys.argv[1]), progress=False)
print(report.texts_now, report.counts.texts, report.parts_before)
"""


def write_inputs(folder: Path) -> None:
    """The same texts in each kind of file, and a small file of each beside it."""
    texts = [f"caption {n} of {'very ' * (n % 23)}many cats" for n in range(ROWS)]
    for kind in INPUTS:
        suffix, _, compression = kind.partition(".")
        (folder / kind).mkdir(parents=True)
        for name, rows in (("large", texts), ("small", texts[:50])):
            path = folder / kind / f"{name}.{kind}"
            if kind == "parquet":
                pq.write_table(pa.table({"caption": rows}), path, row_group_size=9_000)
            else:
                make: Any = {"txt": text_file, "jsonl": json_lines, "csv": csv, "tar": tar_of}[suffix]
                path.write_bytes(packed(make(rows), compression))


def tar_of(texts: list[str]) -> bytes:
    return tar(texts[: ROWS // 10])


def begin(options: dict[str, Any]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _RUN, json.dumps(options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, stderr=subprocess.PIPE)


def ended(process: "subprocess.Popen[str]") -> tuple[int, int]:
    out, error = process.communicate()
    assert process.returncode == 0, error
    texts_now, texts, _ = map(int, out.split())
    return texts_now, texts


def kill(process: "subprocess.Popen[str]") -> None:
    """With all processes that it began, as when a machine loses power."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for _ in range(100):  # Ray's are sessions of their own, and end when they miss the one that began them.
        if not any(is_of(process.pid, path) for path in Path("/proc").glob("[0-9]*")):
            return
        time.sleep(0.05)


def is_of(session: int, path: Path) -> bool:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[3]) == session
    except (OSError, IndexError, ValueError):
        return False


def main(count: int, seed: int = 0) -> None:
    pick = random.Random(seed)
    killed = in_parts = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder / "in")
        while killed < count:
            kind, format, way = pick.choice(INPUTS), pick.choice(OUTPUTS), pick.choice(WAYS)
            options: dict[str, Any] = {"inputs": str(folder / "in" / kind), "format": format, "part_rows": PART_ROWS}
            if kind not in ("txt", "txt.gz", "tar", "tar.zst"):
                options["column"] = "caption"
            shutil.rmtree(folder / "whole", ignore_errors=True)
            shutil.rmtree(folder / "out", ignore_errors=True)
            begin_time = time.monotonic()
            _, texts = ended(begin({**options, **way, "out": f"{folder}/whole/"}))
            seconds = time.monotonic() - begin_time
            options |= {**way, "out": f"{folder}/out/", "resume": True}
            here = 0
            while here < 12 and killed < count:
                process = begin(options)
                # Most of a short job is starting.
                time.sleep(pick.uniform(0.5, 1.1) * seconds)
                if process.poll() is not None:
                    break
                kill(process)
                killed, here = killed + 1, here + 1
                in_parts += bool(list((folder / "out").glob(".*.parts/*.part")))
            there = rows_in_parts(folder / "out")
            texts_now, found = ended(begin(options))
            finished = sum(1 for path in (folder / "out").glob("large.*"))
            assert finished == 1 and found == texts
            assert tree(folder / "out") == tree(folder / "whole"), (kind, format, way)
            if there:
                assert texts_now <= texts - there, (texts_now, texts, there)
            print(f"{killed} kills: {kind} to {format} {way}, {here} of them, {there:,} rows were there", flush=True)
    print(f"{killed} kills, {in_parts} of them with parts there; all outputs equal, no committed row was made again")


def rows_in_parts(out: Path) -> int:
    """Rows that are in committed parts."""
    found = 0
    for path in out.glob(".*.parts/*.part"):
        content = path.read_bytes()
        length = int.from_bytes(content[-16:-8], "little")
        found += json.loads(content[-16 - length : -16])["counts"]["texts"]
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(int, sys.argv[2:]))
