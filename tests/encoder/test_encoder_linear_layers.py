"""The libraries, kernels and dtypes that `encode` computes with, whichever of them this machine prefers."""

from __future__ import annotations

import copy

import pytest
import torch

from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder.sharing import attention, execution, linear_layers
from cliptok.encoder.sharing.linear_layers import compute_dtype
from support.towers import END, FAMILIES, START, Packed, hf_model, relative, row_by_row


def test_every_kernel_gives_the_same(family, monkeypatch):
    """The GEMMs of every CPU, and the attention that runs on CUDA, whichever of them this machine prefers."""
    encoder = TextEncoder.from_pretrained(
        dict(hf_model(family).state_dict()), heads=family.heads, activation=family.activation
    )
    rows = [[START, *body, END] for body in ([1, 2] * 30, [1, 2, 3], [1, 2] * 20, [], *([4, n] for n in range(1, 30)))]
    expected = row_by_row(encoder, rows)
    assert relative(encoder.encode(Packed(rows)), expected) < 2e-6
    monkeypatch.setattr(linear_layers, "_onednn_linear", lambda: None)
    assert relative(encoder.encode(Packed(rows)), expected) < 2e-6
    fused = attention._attention_by_kernel
    monkeypatch.setattr(attention, "_attention_by_matmul", lambda *given: given[-1].copy_(fused(*given[:-1])))
    assert relative(encoder.encode(Packed(rows)), expected) < 2e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("native", [False, True])
def test_half_precision_is_no_further_from_float64_than_transformers(dtype, native, tokenizer, monkeypatch):
    """Both where the CPU has instructions for it and where GEMMs are done in float32."""
    config = TextConfig(**FAMILIES["bigG"])
    monkeypatch.setattr(execution, "compute_dtype", lambda *_: dtype if native else torch.float32)
    texts = [f"a photo of a {noun} number {n}" for noun in ("cat", "dog", "red bird") for n in range(8)]
    ids = tokenizer(texts, padding=True, return_tensors="pt").input_ids
    ours = theirs = 0.0
    for seed in range(4):
        half = hf_model(config, seed).to(dtype)
        encoder = TextEncoder.from_pretrained(dict(half.state_dict()), heads=config.heads, activation="gelu")
        got = encoder.encode(texts, tokenizer)
        assert got.dtype == dtype
        with torch.no_grad():
            exact = copy.deepcopy(half).double()(ids).text_embeds
            theirs += float((half(ids).text_embeds.double() - exact).square().sum())
        ours += float((got.double() - exact).square().sum())
    # The residual stream and attention scores are float32 either way, which transformers' are not.
    assert ours <= theirs


def test_compute_dtype():
    cpu = torch.device("cpu")
    assert compute_dtype(torch.float32, cpu) == torch.float32
    assert compute_dtype(torch.bfloat16, torch.device("cuda")) == torch.bfloat16
    assert compute_dtype(torch.bfloat16, cpu) in (torch.bfloat16, torch.float32)
