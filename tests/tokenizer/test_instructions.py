"""Vector instructions: the environment variable picks a set, and each that this machine has gives the same ids."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cliptok._engine import available_instructions

CASES = Path(__file__).parents[1] / "golden.json"

PROGRAM = """
import json, sys
from cliptok import Tokenizer
from cliptok._engine import Engine
texts = [case["text"] for case in json.load(open(sys.argv[1], encoding="utf-8"))]
tok = Tokenizer()
rows = tok.encode_batch(texts * 3, max_length=32, threads=2)
name = Engine("transformers", [], 49406, 49407).instructions
print(json.dumps([name, [tok.encode(text) for text in texts], rows.tolist()]))
"""


def run(instructions: str) -> "subprocess.CompletedProcess[str]":
    """The program in a process of its own with `CLIPTOK_INSTRUCTIONS` set."""
    environment = {**os.environ, "CLIPTOK_INSTRUCTIONS": instructions}
    command = [sys.executable, "-c", PROGRAM, str(CASES)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_sets_are_listed() -> None:
    sets = available_instructions()
    assert sets[-1] == "plain"
    assert set(sets) <= {"avx512", "avx2", "sse", "neon", "plain"}


@pytest.fixture(scope="module")
def plain() -> Any:
    return json.loads(run("plain").stdout)


@pytest.mark.parametrize("instructions", available_instructions())
def test_golden_cases_are_the_same(instructions: str, plain: Any) -> None:
    name, ids, rows = json.loads(run(instructions).stdout)
    assert name == instructions
    assert [ids, rows] == plain[1:]
    assert ids == [case["ids"]["transformers"] for case in json.loads(CASES.read_text(encoding="utf-8"))]


def test_an_unknown_set_is_refused() -> None:
    refused = run("mmx")
    assert refused.returncode != 0
    assert 'ValueError: CLIPTOK_INSTRUCTIONS is "mmx"; this machine has [' in refused.stderr


def test_an_empty_variable_means_the_fastest() -> None:
    assert json.loads(run("").stdout)[0] == available_instructions()[0]
