"""What the command line costs before it does anything, in CPU time: the least of several runs, as others may run."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cliptok.encoder import TextConfig, TextEncoder
from support.scripts import run_python

HELP, SHOW = 0.150, 0.100
"""Seconds: of all, and beyond Python's own."""


def seconds(*arguments: str) -> float:
    """CPU time of a process, its system time included."""
    least = float("inf")
    for _ in range(8):
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        least = min(least, used.ru_utime + used.ru_stime)
    return least


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="this system does not tell a child's CPU time")
def test_start_up() -> None:
    assert seconds("-m", "cliptok", "--help") < HELP
    assert seconds("-m", "cliptok", "show", "a cat") - seconds("-c", "") < SHOW


@pytest.mark.parametrize("words", [["--help"], ["tokenize", "--help"], ["show", "a cat"], ["completion", "bash"]])
def test_nothing_is_imported_needlessly(words: list[str]) -> None:
    source = f"""
        import io, sys
        from contextlib import redirect_stdout, suppress
        from cliptok.cli import main
        with redirect_stdout(io.StringIO()), suppress(SystemExit):
            main({words})
        print(sorted({{*sys.modules}} & {{"numpy", "torch", "pyarrow", "tqdm", "asyncio", "json", "difflib", "ssl"}}))
    """
    assert run_python(source) == "[]\n"


def test_jobs_import_neither_pandas_nor_a_compiler(tmp_path: Path) -> None:
    """Each takes a second or more: `pa.array` imports the first, values drawn on the meta device the second."""
    TextEncoder(TextConfig(width=8, layers=1, heads=1, mlp=8)).save_pretrained(tmp_path / "model")
    (tmp_path / "a.txt").write_text("a cat\n\na dog\n")
    pq.write_table(pa.table({"caption": ["a cat", "", "a dog"]}), tmp_path / "a.parquet")
    source = f"""
        import os, sys
        from cliptok.batch import embed_files, tokenize_files
        os.chdir({str(tmp_path)!r})
        for name, column in (("a.txt", None), ("a.parquet", "caption")):
            for out in ("ids.parquet", "ids.npy"):
                tokenize_files(name, out, column=column, overwrite=True)
                embed_files(
                    name, f"states-{{out}}", model="model", output="pooler_output", column=column, overwrite=True
                )
        print(sorted({{*sys.modules}} & {{"pandas", "torch._dynamo", "transformers"}}))
    """
    assert run_python(source) == "[]\n"
