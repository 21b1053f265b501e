"""A job killed at random moments and resumed each time, until a run ends: `killed.py INPUTS OUT FORMAT SEED`.

Each run is a fork of this process, which has imported everything and started no thread. A run is killed some time after
its first sign of life: a new file in OUT. Prints how many were killed, and how many of those while a file was half
written.
"""

import os
import random
import signal
import sys
import time
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
        until = None
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            now = time.perf_counter()
            if until is None and set(_files(out)) - before:
                until = now + pick.random() * 0.04
            if until is not None and now > until:
                os.kill(child, signal.SIGKILL)
                break
        else:
            break
        if os.waitpid(child, 0)[1] != signal.SIGKILL:  # It was faster.
            break
        killed += 1
        in_the_middle += any(name.endswith(".tmp") for name in _files(out))
    print(killed, in_the_middle)


def _files(out: str) -> list[str]:
    return [path.as_posix() for path in Path(out).rglob("*")]


main(*sys.argv[1:])
