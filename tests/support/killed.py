"""A job killed at random moments and resumed each time, until a run ends: `killed.py INPUTS OUT FORMAT SEED`.

Each run is a fork of this process, which has imported everything and started no thread. A run is killed some time after
its first sign of life, a new file in OUT. Where a run ends before 15 were killed, all begins anew. Prints how many were
killed, and how many of those while a file was half written.
"""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from cliptok.batch import tokenize_files

pa.array([""])  # Arrow imports pandas, if it is there, when it is first used.


def main(inputs: str, out: str, format: str, seed: str) -> None:
    pick = random.Random(int(seed))
    killed = in_the_middle = 0
    while True:
        before = set(_files(out))
        child = os.fork()
        if child == 0:
            tokenize_files(inputs, out, format=format, resume=True, lists="fixed", progress=False)
            os._exit(0)
        if _kill(child, lambda before=before: bool(set(_files(out)) - before), pick.random() * 0.04):
            killed += 1
            in_the_middle += any(name.endswith(".tmp") for name in _files(out))
        elif killed >= 15:
            break
        else:
            shutil.rmtree(out)
    print(killed, in_the_middle)


def _kill(child: int, is_alive: Callable[[], bool], delay: float) -> bool:
    """Kill a process `delay` seconds after it shows that it lives; False if it has ended well before."""
    until = None
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0
            return False
        if until is None and is_alive():
            until = time.perf_counter() + delay
        if until is not None and time.perf_counter() > until:
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1] == signal.SIGKILL


def _files(out: str) -> list[str]:
    return [path.as_posix() for path in Path(out).rglob("*")]


main(*sys.argv[1:])
