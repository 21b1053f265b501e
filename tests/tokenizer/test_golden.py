"""The golden cases: hard texts with what the references gave for them. The Rust tests read the same file."""

import json
from pathlib import Path

import pytest

from cliptok import Tokenizer
from support.references import PROFILES

CASES = json.loads((Path(__file__).parents[1] / "golden.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("profile", PROFILES)
def test_ids_are_the_references_own(profile: str) -> None:
    tok = Tokenizer(profile)
    wrong = []
    for case in CASES:
        expected, got = case["ids"][profile], tok(case["text"])["input_ids"]
        if got != expected:
            wrong.append(f"{case['text']!r}\n  expected {expected}\n  got      {got}")
    assert not wrong, f"{len(wrong)} of {len(CASES)}:\n" + "\n".join(wrong)


def test_there_are_cases_for_every_profile() -> None:
    assert len(CASES) >= 150
    assert all(set(case["ids"]) == set(PROFILES) for case in CASES)
