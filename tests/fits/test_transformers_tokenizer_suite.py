"""transformers' own tests of every tokenizer, run on ours: `support/tokenizer_suite.py` has the list of what fails.

They come from transformers' source distribution (`make .venv/suites`). The vocabulary is small, so that they are quick.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.layouts import write_layout
from support.shared import missing

ROOT = Path(__file__).parents[2]
SUITES = ROOT / ".venv" / "suites"


def test_common_tokenizer_tests(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("parameterized")
    noted = SUITES / "transformers_suite" / "version"
    if not noted.is_file():
        missing("transformers' tests are not there; make .venv/suites fetches them")
    if noted.read_text() != transformers.__version__:
        pytest.skip(f"the tests are of transformers {noted.read_text()}, not of {transformers.__version__}")
    folder = write_layout(tmp_path / "clip", "sd1")
    script = [sys.executable, ROOT / "tests" / "support" / "tokenizer_suite.py", SUITES, folder]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["problems"], "\n".join(found["problems"])
    assert found["run"] > 50 and found["skipped"] < 15
