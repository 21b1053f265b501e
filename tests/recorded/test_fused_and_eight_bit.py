"""The fused kernels and 8 bits: captured like the others, and turned down where their trial fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cliptok.encoder.forward import forward
from cliptok.encoder.rows import encode_rows
from cliptok.encoder.sharing import triton_kernels
from cliptok.prompts.stable_diffusion import encode_prompts
from support.recording import recording, starting

TEXTS = ["a photo of a cat", "a photo of a dog"]
WAITS = ("SYNC", "cudaMemcpy SYNC")


@pytest.mark.filterwarnings("ignore:TRITON:UserWarning")
@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_fused_kernels_are_captured(make, tokenizer, monkeypatch, activation):
    """A batch is one launch then, of fewer kernels, without waiting."""
    ids = np.full((3, 77), 49407)
    for kernels, most in (("torch", 60), ("triton", 40)):
        monkeypatch.setenv("CLIPTOK_KERNELS", kernels)
        encoder = make(activation=activation)
        for call in (
            lambda encoder=encoder: encoder.encode(TEXTS, tokenizer),
            lambda encoder=encoder: encode_prompts(encoder, tokenizer, TEXTS),
            lambda encoder=encoder: encode_rows(encoder, ids, layer=1, pool_at=np.zeros(3, int)),
        ):
            for _ in range(2):
                call()
            with recording() as events:
                call()
            (launch,) = starting(events, "graphLaunch")
            assert int(launch.what.split()[-1]) <= most and not starting(events, "!!")
            assert not starting(events, *WAITS)


@pytest.mark.filterwarnings("ignore:TRITON:UserWarning")
def test_a_trial_that_fails_leaves_torchs_kernels(encoder, tokenizer, monkeypatch):
    """On this runtime kernels compute nothing, which the trial sees."""
    monkeypatch.delenv("CLIPTOK_KERNELS")
    triton_kernels._right.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"the fused kernels do not run on cuda:0 .*; torch's are used"):
        encoder.encode(TEXTS, tokenizer)
    with recording() as events:
        encoder.encode(TEXTS, tokenizer)
    assert not starting(events, "!!") and starting(events, "graphLaunch")


@pytest.mark.parametrize("rows", [1, 33, 128, 300])
def test_many_rows_are_replayed_in_passes_of_128(encoder, rows):
    ids = torch.full((rows, 77), 49407)
    for _ in range(3):
        with recording() as events:
            output = forward(encoder, ids, [-1])
    assert len(starting(events, "graphLaunch")) == -(-rows // 128) and not starting(
        events, "gemmEx", "ltMatmul", *WAITS
    )
    assert output.last_hidden_state.shape == output.hidden_states[0].shape == (rows, 77, 64)
    assert output.unchecked("text_embeds").shape == (rows, 48)


@pytest.mark.sm_90
@pytest.mark.filterwarnings("ignore:TRITON:UserWarning")
@pytest.mark.parametrize("kernels", ["torch", "triton"])
def test_fp8_is_captured(make, tokenizer, monkeypatch, kernels):
    monkeypatch.setenv("CLIPTOK_KERNELS", kernels)
    encoder = make(layers=3)
    quantized = encoder.quantize("fp8")
    for _ in range(2):
        quantized.encode(TEXTS, tokenizer)
    with recording() as events:
        found = quantized.encode(TEXTS, tokenizer)
    assert found.dtype == torch.float16 and found.shape == (2, 48) and not starting(events, "!!", *WAITS)
    assert len(starting(events, "graphLaunch")) == 1


def test_fp8_needs_compute_capability_8_9(encoder, make):
    with pytest.raises(ValueError, match="2 blocks"):
        encoder.quantize("fp8")
    with pytest.raises(RuntimeError, match=r"compute capability 8\.9"):
        make(layers=3).quantize("fp8")
    with pytest.raises(ValueError, match="on CUDA take fp8"):
        make(layers=3).quantize("int8")
