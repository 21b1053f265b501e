"""torch's CUDA code on a runtime that records: see `tools/fakecuda` in the shared material.

Dispatch, allocators, streams, captures and autocast are torch's own; kernels do nothing and memory is zeros. The
runtime has to be there before torch is loaded, so these tests run in processes of their own (`run`).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from support.corpora import SHARED

RUNTIME = SHARED / "tools" / "fakecuda"
_KERNELS = ("kernel ", "gemm", "sgemm", "ltMatmul", "memsetAsync", "memcpyAsync", "memcpyPeerAsync", "graphLaunch")


def run(
    arguments: Sequence[str], sm: int = 80, devices: int = 1, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Python with these arguments on the recording runtime, as a GPU of compute capability `sm / 10`."""
    environment = {**os.environ, "FAKE_SM": str(sm), "FAKE_DEVICES": str(devices), "OMP_NUM_THREADS": "1"}
    command = [str(RUNTIME / "run"), sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def active() -> bool:
    """Whether this process runs on it."""
    return hasattr(ctypes.CDLL(None), "fk_start")


class Event(NamedTuple):
    """What was called, and on which device and stream (such as "dev0:default"), where that was written down."""

    what: str
    where: str

    @property
    def work(self) -> bool:
        """Whether the device would do something: a kernel, a copy, a graph."""
        return self.what.startswith(_KERNELS)


@contextmanager
def recording() -> Iterator[list[Event]]:
    """The events of the block, in the list when it ends."""
    runtime, events = ctypes.CDLL(None), list[Event]()
    runtime.fk_start()
    try:
        yield events
    finally:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "events")
            runtime.fk_stop(str(path).encode())
            for line in path.read_text().splitlines():
                what, _, where = line.partition("\t")
                events.append(Event(what, where))


def starting(events: list[Event], *prefixes: str) -> list[Event]:
    return [event for event in events if event.what.startswith(prefixes)]


def device_bytes() -> int:
    """What is allocated on all devices together."""
    runtime = ctypes.CDLL(None)
    runtime.fk_device_bytes.restype = ctypes.c_size_t
    return int(runtime.fk_device_bytes())
