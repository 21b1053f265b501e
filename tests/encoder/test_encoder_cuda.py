"""The CUDA path: on fake tensors everywhere, for real where there is a GPU."""

from __future__ import annotations

import copy

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from cliptok.encoder import TextConfig, TextEncoder, encode
from cliptok.encoder.encode import CUDA
from cliptok.encoder.sharing import graphs
from cliptok.encoder.sharing.attention import NodeBatch
from cliptok.encoder.sharing.linear_layers import Workspace
from cliptok.encoder.sharing.nodes import encode_nodes
from cliptok.encoder.sharing.plan import build_batch, sort_window, split_batches
from cliptok.prompts.stable_diffusion import encode_prompts, encode_prompts_xl
from support.towers import FAMILIES, relative

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
TEXTS = ["a photo of a cat", "a photo", "", "a photo of a cat", "a dog " * 60, "a photo of a dog"]


def planned(tokenizer):
    packed = tokenizer.encode_packed(TEXTS, max_length=77, dtype="int32")
    window = sort_window(packed.input_ids, packed.offsets)
    return [build_batch(window, start, stop, CUDA.chunk) for start, stop in split_batches(window, 40)]


@pytest.fixture
def fake_cuda():
    """Every operation checks devices and shapes as CUDA's would, and computes nothing."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


def fake_encoder(dtype=torch.float16, **changes):
    torch.set_default_dtype(dtype)  # fake parameters cannot be converted once they are made
    try:
        return TextEncoder(TextConfig(**{**FAMILIES["ViT-B"], **changes}), device="cuda").eval()
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_nodes_on_fake_cuda(tokenizer, fake_cuda, dtype, activation):
    batches = planned(tokenizer)
    assert len(batches) > 1
    encoder, work = fake_encoder(dtype, activation=activation), Workspace()
    for batch in batches:
        # What `NodeBatch.of` does, with the one host copy replaced by a fake tensor on the device.
        packed = torch.zeros(len(batch.pack()), dtype=torch.int64, device="cuda")
        nodes = NodeBatch.unpack(packed, batch.shape, encoder.config.heads, dtype)
        parts = [nodes.tokens, nodes.positions, nodes.eos_nodes, *(t for g in nodes.groups for t in (g.keys, g.mask))]
        assert all(tensor.device.type == "cuda" for tensor in parts)
        (pooled,) = encode_nodes(encoder, [nodes], work)
        assert pooled.device.type == "cuda" and pooled.dtype == dtype and pooled.shape == (len(batch.eos_nodes), 64)


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


class Replay:
    """A graph without CUDA: it keeps its own inputs, as a graph does, and computes anew."""

    made = 0

    def __init__(self, compute, inputs) -> None:
        type(self).made += 1
        self.compute, self.inputs = compute, tuple(tensor.clone() for tensor in inputs)

    def __call__(self, *inputs):
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        return self.compute(*self.inputs)


@pytest.mark.parametrize("graph_tokens", [0, 8192])
def test_encode_on_fake_cuda(tokenizer, fake_cuda, monkeypatch, graph_tokens):
    """The whole of `encode`, from texts to the tensor in input order. Only pinning and capture need a real device."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(graphs, "Graph", Replay)
    monkeypatch.setattr(graphs, "_weights", lambda encoder: 0)
    monkeypatch.setattr(encode, "GRAPH_TOKENS", graph_tokens)
    monkeypatch.setattr(Replay, "made", 0)
    encoder = fake_encoder()
    for _ in range(2):
        got = encoder.encode(TEXTS, tokenizer, normalize=True, budget=40)
        assert got.device.type == "cuda" and got.shape == (6, 48) and got.dtype == torch.float16
    assert bool(Replay.made) == bool(graph_tokens)
    assert encoder.encode(TEXTS, tokenizer, batch_invariant=True).device.type == "cuda"
    blocks = list(encoder.encode(iter(TEXTS), tokenizer, window=4))
    assert [tuple(b.shape) for b in blocks] == [(4, 48), (2, 48)]
    matrix = encoder.zero_shot(["cat", "dog"], ["a {}", "the {}", "{}"], tokenizer)
    assert matrix.device.type == "cuda" and matrix.shape == (2, 48)


def test_graphed_forward_on_fake_cuda(fake_cuda, monkeypatch):
    monkeypatch.setattr(graphs, "Graph", Replay)
    monkeypatch.setattr(graphs, "_weights", lambda encoder: 0)
    encoder = fake_encoder()
    ids = torch.zeros(2, 77, dtype=torch.int64, device="cuda")
    for hidden in (False, True, False, True):
        output = graphs.forward(encoder, ids, hidden)
        assert output.text_embeds.device.type == "cuda" and (output.hidden_states is not None) == hidden


@pytest.mark.parametrize("clip_skip", [None, 1])
def test_prompts_on_fake_cuda(tokenizer, fake_cuda, monkeypatch, clip_skip):
    monkeypatch.setattr(graphs, "Graph", Replay)
    monkeypatch.setattr(graphs, "_weights", lambda encoder: 0)
    first, second = fake_encoder(projection=None), fake_encoder()
    for _ in range(2):
        embeds = encode_prompts(first, tokenizer, TEXTS, clip_skip=clip_skip)
        assert embeds.device.type == "cuda" and embeds.shape == (6, 77, 64) and embeds.dtype == torch.float16
        pair = encode_prompts_xl((first, second), (tokenizer, tokenizer), TEXTS, clip_skip=clip_skip)
        assert all(t.device.type == "cuda" for t in pair)
        assert pair.prompt_embeds.shape == (6, 77, 128) and pair.pooled_prompt_embeds.shape == (6, 48)


def test_graph_cache_captures_on_the_second_use_and_forgets_the_oldest(monkeypatch):
    """On real tensors: the results are right whether they come from a graph or not."""
    monkeypatch.setattr(graphs, "Graph", Replay)
    monkeypatch.setattr(graphs, "KEPT", 2)
    monkeypatch.setattr(Replay, "made", 0)
    cache = graphs.GraphCache()
    for turn, (key, made) in enumerate(
        [("a", 0), ("a", 1), ("a", 1), ("b", 1), ("b", 2), ("c", 2), ("a", 2), ("a", 3)]
    ):
        assert cache.run(key, lambda x: x + 1, torch.tensor(turn)) == turn + 1
        assert Replay.made == made


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
    from cliptok.encoder.sharing.graphs import forward

    encoder = copy.deepcopy(small).to("cuda", torch.float16)
    for seed in range(3):
        ids = torch.randint(1, 49406, (4, 77), generator=torch.Generator().manual_seed(seed)).cuda()
        ids[:, 20 + seed] = 49407
        with torch.inference_mode():
            expected, got = encoder(ids, output_hidden_states=True), forward(encoder, ids, True)
        for name in ("last_hidden_state", "pooler_output", "text_embeds"):
            torch.testing.assert_close(got[name], expected[name], rtol=1e-2, atol=1e-2)
        assert len(got.hidden_states) == len(expected.hidden_states)


@pytest.mark.cuda
@needs_gpu
def test_batch_invariant_is_bitwise_on_a_gpu(small, tokenizer):
    encoder = copy.deepcopy(small).to("cuda", torch.float16)
    together = encoder.encode(TEXTS, tokenizer, batch_invariant=True)
    alone = torch.cat([encoder.encode([t], tokenizer, batch_invariant=True) for t in TEXTS])
    assert torch.equal(together, alone)
