"""The tests that need CUDA."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from inputs import ROOT
from settings import Settings

TESTS = ("tests/encoder/test_encoder_cuda.py",)


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    missing = [name for name in ("pytest", "hypothesis", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        yield {"what": "tests", "skipped": f"no {', '.join(missing)} here"}
        return
    command = [sys.executable, "-m", "pytest", *TESTS, "-m", "cuda", "-q", "-W", "default", "-p", "no:cacheprovider"]
    if not settings.computes:
        command.append("--collect-only")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    *_, summary = [line for line in done.stdout.splitlines() if line.strip()] or [""]
    counts = {
        word: int(count) for count, word in re.findall(r"(\d+)(?:/\d+)? (passed|failed|errors?|skipped|tests)", summary)
    }
    yield {"what": "tests", **counts, "status": done.returncode}
    if done.returncode or not (counts.get("passed") or counts.get("tests")):
        print(done.stdout[-6000:], done.stderr[-2000:])
        raise AssertionError(f"the tests ended with: {summary}")
