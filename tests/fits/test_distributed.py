"""DDP and FSDP2 with two processes on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
SCRIPT = Path(__file__).parents[1] / "support" / "distributed_encoder.py"


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
@pytest.mark.skipif(sys.platform != "linux", reason="gloo by a file, on Linux")
@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6),
    reason="torch.distributed.fsdp has fully_shard from 2.6 on",
)
def test_two_processes(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(tmp_path / "rendezvous")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        found = [rank.communicate(timeout=240) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    for output, errors in found:
        lines = [line.rsplit(" ", 1) for line in output.splitlines()]
        assert [name for name, _ in lines] == ["ddp", *["fsdp forward", "fsdp encode", "fsdp refused"] * 2], errors[
            -2000:
        ]
        assert all(float(difference) < 2e-6 for _, difference in lines), output
