"""Pieces, ids and weights of every recorded prompt, in every dialect, to the last bit."""

import json

import numpy as np
import pytest

from cliptok.prompts import PromptError
from support.prompt_records import CASES, planner, records, refused


@pytest.mark.parametrize("name", CASES)
def test_pieces_ids_and_weights_are_the_tools(name):
    case, plans = CASES[name], planner(name)
    compared = 0
    for record in records(name):
        settings = {**case.settings, **record.settings}
        try:
            plan = plans.plan([record.text], negative=record.negative, **settings)
        except PromptError:
            if refused(record):
                continue
            raise
        assert "error" not in record.entry or slow_or_later(record), f"{record.key}: {record.entry['error']}"
        compared += 1
        where = f"{name} {record.key} {record.text!r}"
        if "skip_parsing" not in settings:
            check_pieces(record.entry.get("parsed"), plan.pieces[0], where)
        chunks = plan.chunks[0][0]
        if "token_count" in record.entry:
            assert chunks.count == record.entry["token_count"], where
        ids, weights = record.array("ids"), record.array("weights")
        if ids is not None:
            np.testing.assert_array_equal(chunks.ids, ids.reshape(-1, 77), where)
        if weights is not None:
            np.testing.assert_array_equal(chunks.weights, weights.reshape(-1, 77), where)
        if "fixes" in record.entry:
            ours = [
                [[fix.position - 1, fix.name] for fix in chunks.fixes if fix.chunk == number]
                for number in range(len(chunks.ids))
            ]
            assert ours == record.entry["fixes"], where
    assert compared > 0


def slow_or_later(record):
    """compel's parser is too slow for some, and for SDXL it raises where it joins what it has encoded."""
    return "Slow" in record.entry["error"] or "AttributeError" in record.entry["error"]


def check_pieces(parsed, pieces, where):
    if parsed is None:
        return
    if isinstance(parsed, dict):
        parsed = [piece for part in parsed["and"] for piece in compel_pieces(part)]
    ours = json.loads(json.dumps([[text, weight] for text, weight in pieces]))
    assert ours == parsed, where


def compel_pieces(part):
    for prompt in part.get("blend") or [part["prompt"]]:
        for piece in prompt:
            yield from piece["swap"][0] if isinstance(piece, dict) else [piece]
