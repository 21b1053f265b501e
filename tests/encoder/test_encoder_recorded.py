"""The tests in `tests/recorded` on the recording runtime, as three kinds of GPU.

Each kind is one process, since the runtime has to be there before torch is, and loading torch takes seconds.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from support import recording
from support.shared import missing

RECORDED = Path(__file__).parents[1] / "recorded"


@pytest.fixture(scope="module", autouse=True)
def runtime():
    if not (recording.RUNTIME / "run").exists():
        missing(
            f"no recording runtime in {recording.RUNTIME}; set CLIPTOK_SHARED to the folder that has tools/fakecuda"
        )
    if shutil.which("g++") is None or shutil.which("gcc") is None:
        missing("no g++ to build the recording runtime with")
    if torch.version.cuda is None or os.name != "posix":
        missing("this torch has no CUDA code, so there is nothing to record")
    if torch.version.cuda == "12.1":  # torch 2.4's
        pytest.skip("the recording runtime says that it is a driver too old for CUDA 12.1")


@pytest.mark.parametrize(("kind", "sm", "devices"), [("any", 80, 2), ("sm_90", 90, 1)])
def test_on_the_recording_runtime(kind, sm, devices):
    done = recording.run(["-m", "pytest", str(RECORDED), "-q", "-m", kind, "-p", "no:cacheprovider"], sm, devices)
    assert done.returncode == 0, f"{done.stdout[-20000:]}\n{done.stderr[-5000:]}"
    assert " passed" in done.stdout
