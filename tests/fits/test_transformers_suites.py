"""transformers' own tests of every tokenizer and of every model, run on ours.

`support/tokenizer_suite.py` and `support/model_suite.py` have the lists of what fails, and why. The tests come from
transformers' source distribution (`make .venv/suites`), which lacks those of CLIP itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.layouts import write_layout
from support.shared import missing

ROOT = Path(__file__).parents[2]
SUITES = ROOT / ".venv" / "suites"


def run(script: str, folder: Path, *arguments: object) -> dict[str, Any]:
    """What a script of `support` prints at last, run in `folder`."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("parameterized")
    noted = SUITES / "transformers_suite" / "version"
    if not noted.is_file():
        missing("transformers' tests are not there; make .venv/suites fetches them")
    if noted.read_text() != transformers.__version__:
        pytest.skip(f"the tests are of transformers {noted.read_text()}, not of {transformers.__version__}")
    command = [sys.executable, ROOT / "tests" / "support" / script, SUITES, *arguments]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=offline)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert not found["problems"], "\n".join(found["problems"])
    return found


def test_common_tokenizer_tests(tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "clip", "sd1")
    found = run("tokenizer_suite.py", tmp_path, folder)
    assert found["run"] > 50 and found["skipped"] < 15


def test_common_model_tests(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    found = run("model_suite.py", tmp_path)
    assert found["run"] > 150 and found["run"] - found["skipped"] > 65
