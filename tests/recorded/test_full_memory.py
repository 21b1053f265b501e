"""A GPU whose memory is full: torch's error, and everything as before it once there is room."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

from cliptok import Tokenizer
from cliptok.prompts.stable_diffusion import encode_prompts

TEXTS = [f"a photo of {number} cats on a long, long road" for number in range(3000)]


@contextmanager
def full():
    """No more memory than is taken."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-9)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("warm", [0, 1, 3])  # nothing captured, in the call that captures, and with a graph to replay
def test_encode(encoder, tokenizer, warm):
    for _ in range(warm):
        encoder.encode(TEXTS[:2], tokenizer)
    with full(), pytest.raises(torch.OutOfMemoryError):
        encoder.encode(TEXTS, tokenizer)
    for _ in range(3):
        assert encoder.encode(TEXTS, tokenizer).shape == (3000, 48)
        assert encoder.encode(TEXTS[:2], tokenizer).shape == (2, 48)


@pytest.mark.parametrize("warm", [0, 1, 3])
def test_prompts(encoder, tokenizer, warm):
    for _ in range(warm):
        encode_prompts(encoder, tokenizer, TEXTS[:2])
    with full(), pytest.raises(torch.OutOfMemoryError):
        encode_prompts(encoder, tokenizer, TEXTS[:600])
    for _ in range(3):
        assert encode_prompts(encoder, tokenizer, TEXTS[:2]).shape == (2, 77, 64)


def test_tables_of_tokens(encoder):
    """A larger one has no room: none is changed, in the encoder nor in the tokenizer."""
    tokenizer = Tokenizer()
    table = encoder.get_input_embeddings().weight
    with full():
        with pytest.raises(torch.OutOfMemoryError):
            encoder.load_textual_inversion(torch.ones(2, 64), tokenizer, "<new>")
        with pytest.raises(torch.OutOfMemoryError):
            encoder.resize_token_embeddings(60_000)
    assert encoder.get_input_embeddings().weight is table
    assert encoder.config.vocabulary == 49408 and "<new>" not in tokenizer.get_vocab()
    encoder.load_textual_inversion(torch.ones(2, 64), tokenizer, "<new>")
    assert encoder.config.vocabulary == 49410
