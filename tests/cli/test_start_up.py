"""What the command line costs before it does anything, in CPU time: the least of several runs, as others may run."""

import os
import subprocess
import sys

import pytest

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
