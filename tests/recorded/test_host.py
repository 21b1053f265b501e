"""What the host has to do: synchronisations, operations, launches (defect 12, and one query at a time)."""

from __future__ import annotations

import gzip

import pytest

from cliptok.encoder.sharing.graphs import runner
from cliptok.prompts.stable_diffusion import encode_prompts, encode_prompts_xl
from support.corpora import SHARED
from support.recording import recording, starting

WAITS = ("SYNC", "cudaMemcpy SYNC")


@pytest.fixture(scope="module")
def captions():
    with gzip.open(SHARED / "corpora/2_captions/flickr30k_en.txt.gz", "rt", encoding="utf-8") as file:
        return [next(file).rstrip("\n") for _ in range(40_000)]


def test_40000_captions(make, tokenizer, captions):
    """Nothing waits for the device, every batch is one launch, and few graphs are enough for all of them."""
    encoder = make(width=64, layers=12, heads=1)
    with recording() as first:
        encoder.encode(captions, tokenizer)
    with recording() as second:
        encoder.encode(captions, tokenizer)
    with recording() as again:
        out = encoder.encode(captions, tokenizer)
    assert out.shape == (40_000, 48)
    assert not starting(again, *WAITS)
    assert not [event for event in again if "PAGEABLE" in event.what]
    nodes = [int(event.what.split()[-1]) for event in starting(first + second + again, "graphInstantiate")]
    assert 0 < len(nodes) <= 12 and max(nodes) <= 260
    kernels = starting(again, "kernel", "gemm", "ltMatmul")
    windows = 3
    assert len(kernels) <= 3 * windows  # putting rows in order, and joining the windows
    assert runner(encoder).bytes() < 256 << 20


@pytest.mark.parametrize("texts", [["a photo of a cat"], ["a cat", "a dog", "a cat"]])
def test_one_query_is_one_launch_and_no_synchronisation(make, tokenizer, texts):
    encoder, second = make(projection=None), make()
    calls = {
        "encode": lambda: encoder.encode(texts, tokenizer, output="pooler_output"),
        "encode_prompts": lambda: encode_prompts(encoder, tokenizer, texts),
        "clip_skip": lambda: encode_prompts(encoder, tokenizer, texts, clip_skip=1),
        "encode_prompts_xl": lambda: encode_prompts_xl((encoder, second), (tokenizer, tokenizer), texts),
    }
    for name, call in calls.items():
        for _ in range(2):
            call()
        with recording() as events:
            call()
        assert len(starting(events, "graphLaunch")) == (2 if name.endswith("xl") else 1)
        assert not starting(events, *WAITS), name
        assert not [event for event in events if "PAGEABLE" in event.what], name
