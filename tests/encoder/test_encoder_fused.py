"""The Triton kernels: right where they are interpreted, and asked for by the environment alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cliptok.encoder.sharing import triton_kernels

TESTS = Path(__file__).parents[1]


def test_interpreted_kernels_beside_float64():
    """In a process of its own: Triton reads the variable when it is imported. A few seconds of CPU time."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "support.fused"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "all right" in done.stdout, done.stdout + done.stderr


def test_the_environment_asks_for_them(monkeypatch):
    monkeypatch.delenv("CLIPTOK_KERNELS", raising=False)
    assert not triton_kernels.wanted()
    monkeypatch.setenv("CLIPTOK_KERNELS", "Triton")
    with pytest.raises(ValueError, match="CLIPTOK_KERNELS is 'Triton'; expected torch or triton"):
        triton_kernels.wanted()
    monkeypatch.setenv("CLIPTOK_KERNELS", "triton")
    monkeypatch.setattr(triton_kernels.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="needs triton"):
        triton_kernels.wanted()
