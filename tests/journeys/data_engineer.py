"""A data engineer's job: captions in several formats to Parquet ids, broken off, taken up, and checked."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def cliptok(*arguments: object, status: int = 0) -> "subprocess.CompletedProcess[str]":
    """The command, installed beside this Python."""
    command = [sys.executable, "-m", "cliptok", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, (command, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


def main(folder: Path) -> None:
    """Everything in a folder of its own."""
    data, ids = folder / "data", folder / "ids"
    data.mkdir()
    captions = [f"a photo of {number} cats" for number in range(1000)]
    pq.write_table(pa.table({"id": range(1000), "caption": captions}), data / "a.parquet")
    (data / "b.jsonl").write_text("".join(f'{{"id": {at}, "caption": "{text}"}}\n' for at, text in enumerate(captions)))
    (data / "c.tsv").write_text('id\tcaption\n1\ta cat\n2\t"open quote cat\n')
    failed = cliptok("tokenize", data, "--column", "caption", "--keep", "id", "-o", f"{ids}/", status=2)
    assert "c.tsv: line 3" in failed.stderr
    (data / "c.tsv").write_text('id\tcaption\n1\ta cat\n2\t"a quoted cat"\n')
    planned = cliptok("tokenize", data, "--column", "caption", "--keep", "id", "-o", f"{ids}/", "--resume", "--dry-run")
    assert planned.stdout.count("finished") == 2
    done = cliptok("tokenize", data, "--column", "caption", "--keep", "id", "-o", f"{ids}/", "--resume")
    assert "2,002 texts" in done.stderr and "2 finished before" in done.stderr
    assert pq.read_table(ids / "c.parquet").column("id").to_pylist() == ["1", "2"]
    cliptok("check", ids)
    content = bytearray((ids / "a.parquet").read_bytes())
    content[100] ^= 1
    (ids / "a.parquet").write_bytes(content)
    assert "a.parquet: damaged" in cliptok("check", ids, status=2).stdout
    cliptok("tokenize", data, "--column", "caption", "--keep", "id", "-o", f"{ids}/", "--resume", "--check")
    cliptok("check", ids)
    cliptok("report", data, "--column", "caption", "-o", folder / "report.html")
    assert "3 texts" not in (folder / "report.html").read_text(encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
    print("done")
