"""The CUDA path: its shapes and masks on fake tensors, its numbers on the CPU, and all of it where there is a GPU.

What it launches, where and how often is in `tests/recorded`.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder.device import to_device
from cliptok.encoder.dot_product import masked_with
from cliptok.encoder.forward import _Pass, forward
from cliptok.encoder.sharing import attention
from cliptok.encoder.sharing.attention import NodeBatch
from cliptok.encoder.sharing.execution import CUDA, Computation
from cliptok.encoder.sharing.linear_layers import Workspace, compute_dtype
from cliptok.encoder.sharing.nodes import encode_nodes
from cliptok.encoder.sharing.plan import CanonicalSize, Window, build_canonical
from support.signals import assert_seen_at_once
from support.towers import FAMILIES, relative

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
TEXTS = ["a photo of a cat", "a photo", "", "a photo of a cat", "a dog " * 60, "a photo of a dog"]


@pytest.fixture
def planned(tokenizer):
    """Canonical batches of the texts. (To be asked for before `fake_cuda`: the planner writes into real memory.)"""
    packed = tokenizer.encode_packed(TEXTS, max_length=77, dtype="int32")
    window = Window(packed.input_ids, packed.offsets, 49407, 77, 49408, 0)
    return [
        build_canonical(window, start, stop, CanonicalSize(*size), CUDA.chunk, 96)
        for start, stop, size in window.split_canonical([(128, 32)])
    ]


@pytest.mark.parametrize("kernel", [False, True])
def test_canonical_batches_give_the_right_numbers(small, tokenizer, planned, monkeypatch, kernel):
    """On the CPU, with the CUDA path's plan, padding and mask."""

    def by_kernel(q, k, v, group, out):
        out.copy_(attention._attention_by_kernel(q, k, v, group))

    if kernel:
        monkeypatch.setattr(attention, "_attention_by_matmul", by_kernel)
    computation = Computation(small, "text_embeds", normalize=False)
    expected = small.encode(sorted(set(TEXTS)), tokenizer)
    ids = {text: tuple(tokenizer(text, truncation=True, max_length=77)["input_ids"]) for text in set(TEXTS)}
    order = [sorted(ids.values()).index(ids[text]) for text in sorted(ids)]
    with torch.inference_mode():
        rows = [
            computation([(batch.packed, batch.shape)], Workspace())[0][: batch.stop - batch.start] for batch in planned
        ]
    assert relative(torch.cat(rows)[order], expected) < 2e-6


@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
@pytest.mark.parametrize("projection", [None, 48])
def test_the_pass_over_rows_gives_what_the_modules_give(activation, projection):
    """At every position, padding too: what stands behind a text is seen by nothing before it."""
    torch.manual_seed(0)
    config = TextConfig(width=64, layers=3, heads=2, mlp=128, projection=projection, activation=activation)
    model = TextEncoder(config).eval()
    ids = torch.randint(1, 49406, (5, 20))
    ids[:, 12:] = 49407
    with torch.inference_mode():
        expected = model(ids, output_hidden_states=True)
        for states in ([], [0], [-2], [0, 1, 2, 3]):
            one = _Pass(model, 20, states)
            found = one.output(one.compute(ids), one.end(ids))
            for name in {"last_hidden_state", "pooler_output", "text_embeds"} & set(expected):
                torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=2e-6)
            for state, number in enumerate(states):
                torch.testing.assert_close(
                    found.hidden_states[state], expected.hidden_states[number], rtol=1e-5, atol=2e-6
                )


def test_masks_are_finite():
    """And laid out as the memory-efficient kernel wants them."""
    hidden = torch.tensor([[True, False, True]] * 2)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        mask = masked_with(hidden, dtype)
        least = torch.finfo(dtype).min
        assert mask.dtype == dtype and mask.tolist() == [[least, 0.0, least]] * 2 and mask.stride() == (8, 1)


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_devices_that_are_not_cuda_take_the_plain_ways(monkeypatch, kind):
    """No asynchronous copy from pageable memory; sharing by matrix products, without `index_copy_`."""
    given = {}
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device, **options: given.update(options) or self)
    to_device(torch.zeros(2), torch.device(kind))
    assert given == {"non_blocking": False}
    assert compute_dtype(torch.float16, torch.device(kind)) == torch.float16


@pytest.fixture
def fake_cuda():
    """Every operation checks devices and shapes as CUDA's would, and computes nothing."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        try:
            torch.empty(1, device="cuda").uniform_()
        except RuntimeError as error:  # torch 2.4 asks the driver
            pytest.skip(f"this torch needs a driver for random numbers on fake tensors: {error}".splitlines()[0])
        yield mode


def fake_encoder(dtype=torch.float16, **changes):
    torch.set_default_dtype(dtype)  # fake parameters cannot be converted once they are made
    try:
        return TextEncoder(TextConfig(**{**FAMILIES["ViT-B"], **changes}), device="cuda").eval()
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_nodes_on_fake_cuda(planned, fake_cuda, dtype, activation):
    encoder, work = fake_encoder(dtype, activation=activation), Workspace()
    for batch in planned:
        # The one copy from the host is replaced by a fake tensor on the device.
        packed = torch.zeros(len(batch.packed), dtype=torch.int32, device="cuda")
        nodes = NodeBatch.unpack(packed, batch.shape, encoder.config.heads, dtype)
        parts = [nodes.tokens, nodes.positions, nodes.eos_nodes, *(t for g in nodes.groups for t in (g.keys, g.mask))]
        assert all(tensor.device.type == "cuda" for tensor in parts)
        with torch.no_grad():
            (pooled,) = encode_nodes(encoder, [nodes], work)
        assert pooled.device.type == "cuda" and pooled.dtype == dtype and pooled.shape == (batch.shape.eos, 64)


@pytest.mark.parametrize("masked", [False, True])
def test_forward_on_fake_cuda(fake_cuda, masked):
    encoder = fake_encoder()
    ids = torch.zeros(3, 77, dtype=torch.int32, device="cuda")
    output = encoder(ids, attention_mask=torch.ones_like(ids) if masked else None, output_hidden_states=True)
    tensors = [output.last_hidden_state, output.text_embeds, *output.hidden_states]
    assert all(t.device.type == "cuda" and t.dtype == torch.float16 for t in tensors)


def test_a_tensor_on_the_wrong_device_is_caught(fake_cuda):
    """The fake mode does see what it is there to see."""
    encoder = fake_encoder()
    with pytest.raises(RuntimeError, match="device"):
        encoder(torch.zeros(3, 77, dtype=torch.int32, device="cpu"))


def test_resized_table_stays_on_the_device(fake_cuda):
    encoder = fake_encoder()
    assert encoder.resize_token_embeddings(49500).weight.device.type == "cuda"


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_encode_on_a_gpu_equals_the_cpu(small, tokenizer, dtype):
    expected = small.encode(TEXTS, tokenizer)
    encoder = copy.deepcopy(small).to("cuda", dtype)
    limit = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}[dtype]
    for options in ({}, {"budget": 40}, {"window": 2}, {"batch_invariant": True}):
        for _ in range(3):  # plainly, while a graph is captured, and replayed
            assert relative(encoder.encode(TEXTS, tokenizer, **options).cpu(), expected) < limit


@pytest.mark.cuda
@needs_gpu
def test_graphs_on_a_gpu_equal_the_plain_forward_pass(small):
    encoder = copy.deepcopy(small).to("cuda", torch.float16)
    for seed in range(3):
        ids = torch.randint(1, 49406, (4, 77), generator=torch.Generator().manual_seed(seed))
        ids[:, 20 + seed] = 49407
        with torch.inference_mode():
            expected, got = encoder(ids.cuda(), output_hidden_states=True), forward(encoder, ids, range(4))
        for name in ("last_hidden_state", "text_embeds"):
            torch.testing.assert_close(got[name], expected[name], rtol=1e-2, atol=1e-2)
        assert len(got.hidden_states) == len(expected.hidden_states)


@pytest.mark.cuda
@needs_gpu
def test_batch_invariant_is_bitwise_on_a_gpu(small, tokenizer):
    encoder = copy.deepcopy(small).to("cuda", torch.float16)
    together = encoder.encode(TEXTS, tokenizer, batch_invariant=True)
    alone = torch.cat([encoder.encode([t], tokenizer, batch_invariant=True) for t in TEXTS])
    assert torch.equal(together, alone)


@pytest.mark.cuda
@needs_gpu
def test_after_a_gpu_was_full(small, tokenizer):
    """Plainly, with a graph to capture, and with one to replay: the same numbers as before."""
    encoder = copy.deepcopy(small).to("cuda", torch.float16)
    many = [f"a photo of {number} cats on a long, long road" for number in range(20_000)]
    for _ in range(4):
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(1e-9)
        try:
            with pytest.raises(torch.OutOfMemoryError):
                encoder.encode(many, tokenizer)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        assert relative(encoder.encode(TEXTS, tokenizer).cpu(), small.encode(TEXTS, tokenizer)) < 1e-2


@pytest.mark.cuda
@needs_gpu
def test_signals_are_seen_on_a_gpu(small, tokenizer):
    encoder = copy.deepcopy(small).to("cuda", torch.float16)
    texts = [f"a photo of {number} cats on a long, long road" for number in range(20_000)]
    encoder.encode(texts, tokenizer)
    assert_seen_at_once(lambda size: lambda: encoder.encode(texts * size, tokenizer))
