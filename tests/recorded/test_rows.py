"""All positions of rows of ids, and prompts to conditioning, on the device: graphs, hidden tokens, foreign vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cliptok.encoder.rows import encode_rows
from cliptok.prompts import Conditioner
from support.recording import recording, starting


def rows_of(count: int, seed: int = 0):
    rows = np.random.default_rng(seed).integers(0, 400, (count, 77))
    rows[:, 0], rows[:, 60:] = 49406, 49407
    return rows


@pytest.mark.parametrize("count", [1, 5, 40])
def test_rows_are_replayed(encoder, count):
    """By the second call every batch is one launch of a graph, whatever the ids."""
    for turn in range(3):
        with recording() as events:
            found = encode_rows(encoder, rows_of(count, turn), layer=1, pool_at=np.full(count, 60))
        assert found.states.shape == (count, 77, 64) and found.pooled.shape == (count, 64)
        assert found.states.device.type == "cuda" and not starting(events, "!!")
    assert starting(events, "graphLaunch") and not starting(events, "gemmEx", "ltMatmul")


def test_what_is_not_asked_for_is_not_computed(encoder):
    lengths = np.arange(1, 41)
    for turn in range(2):
        with recording() as events:
            found = encode_rows(encoder, rows_of(40, turn), lengths=lengths)
        assert found.states.shape == (40, 77, 64) and not starting(events, "!!")
    with recording() as whole:
        encode_rows(encoder, rows_of(40, 2))
    assert len(starting(events, "graphLaunch")) <= len(starting(whole, "graphLaunch"))


def test_hidden_tokens_and_vectors(encoder):
    rows, hidden = rows_of(6), np.zeros((6, 77), bool)
    hidden[:, 5:9] = True
    rows[:, 3] = 49408
    vectors = torch.zeros(1, 64, device="cuda")
    for turn in range(2):
        with recording() as events:
            found = encode_rows(encoder, rows, hidden=hidden, vectors=vectors)
        assert found.states.shape == (6, 77, 64) and not starting(events, "!!"), turn
    assert not starting(events, "graphLaunch")  # vectors come and go


def test_conditioning(make):
    encoders = [make(projection=None), make()]
    cond = Conditioner(encoders, family="sdxl", dialect="a1111")
    for prompt in ("a (red:1.3) fox BREAK night", "a [blue] fox BREAK day"):
        with recording() as events:
            out = cond(prompt, negative="blurry")
        assert out.prompt_embeds.shape == (1, 154, 128) and out.prompt_embeds.dtype == torch.float16
        assert out.prompt_embeds.device.type == "cuda" and not starting(events, "!!")
    with recording() as events:
        cond(prompt, negative="blurry")
    assert not starting(events, "graphLaunch") and cond.stats.encoded < cond.stats.asked
