"""What a graph depends on, how many there are and what they hold: defects 3, 4, 5, 7, 9 and 11."""

from __future__ import annotations

import random

import pytest
import torch

from cliptok.encoder.sharing.graphs import GRAPH_MEMORY, runner
from cliptok.prompts.stable_diffusion import encode_prompts, encode_prompts_xl
from support.recording import device_bytes, recording, starting

TEXTS = ["a photo of a cat", "a photo of a dog"]


def launches(call) -> int:
    with recording() as events:
        call()
    assert not starting(events, "!!")
    return len(starting(events, "graphLaunch"))


@pytest.fixture
def calls(encoder, tokenizer):
    """Ways to use an encoder, each of which has a graph by the second call."""
    return [lambda: encoder.encode(TEXTS, tokenizer), lambda: encode_prompts(encoder, tokenizer, TEXTS)]


@pytest.fixture
def living_inputs(monkeypatch):
    """torch's own check that what a graph reads is still there at every replay."""
    begin = torch.cuda.CUDAGraph.capture_begin

    def checked(self, pool=None, capture_error_mode="global"):
        begin(self, pool, capture_error_mode, check_input_liveness=True)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "capture_begin", checked)


def test_autocast(make, tokenizer, living_inputs):
    """`encode` computes as outside, and conditioning, which is to follow autocast, without a graph."""
    encoder = make(dtype=torch.float32)
    for _ in range(3):
        with torch.autocast("cuda", torch.float16), recording() as events:
            encoder.encode(TEXTS, tokenizer)
        gemms = starting(events, "gemmEx", "ltMatmul", "kernel")
        assert not any("f16" in event.what or "Half" in event.what for event in gemms)
        assert launches(lambda: encoder.encode(TEXTS, tokenizer)) == 1
        with torch.autocast("cuda", torch.float16):
            assert launches(lambda: encode_prompts(encoder, tokenizer, TEXTS)) == 0
            half = make()
            assert half.encode(TEXTS, tokenizer).dtype == torch.float16


def test_what_a_graph_reads_lives_as_long_as_it(calls, living_inputs):
    for call in calls:
        for _ in range(4):
            call()


@pytest.mark.parametrize("first", [True, False])
def test_captured_in_inference_mode_and_used_outside(calls, first):
    for call in calls:
        for turn in range(6):
            with torch.inference_mode((turn < 3) == first):
                out = call()
        assert out.is_inference() == (not first)


def changes(encoder):
    """Things that happen to an encoder's weights, each of which moves some."""
    weight = next(encoder.blocks()).mlp.fc1.weight

    def resized():
        for size in (49500, 49408, 49500):  # the last one may lie where the first was
            encoder.resize_token_embeddings(size)

    def data():
        weight.data = weight.data.clone()

    def transposed():
        weight.data = torch.empty_like(weight.T).T.copy_(weight)

    def parameter():
        next(encoder.blocks()).mlp.fc1.weight = torch.nn.Parameter(weight.detach().clone())

    def layer():
        next(encoder.blocks()).mlp.fc1 = torch.nn.Linear(64, 256, device="cuda", dtype=torch.float16)

    def dtype():
        encoder.to(torch.bfloat16)

    def activation():
        next(encoder.blocks()).mlp.activation = "gelu"

    return [resized, data, transposed, parameter, layer, dtype, activation]


def test_a_graph_goes_when_what_it_depends_on_moves(encoder, calls):
    for change in changes(encoder):
        for call in calls:
            call()
            call()
            assert launches(call) == 1
        change()
        for call in calls:
            assert launches(call) == 0, change.__name__


def test_weights_that_change_in_place_keep_their_graph(encoder, calls):
    for call in calls:
        call()
        call()
        with torch.no_grad():
            for weight in encoder.parameters():
                weight.mul_(1.5)
        assert launches(call) == 1


class Adapter(torch.nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base_layer, self.weight, self.scale = base, base.weight, 1.0

    def forward(self, x):
        return self.base_layer(x) * self.scale


def test_adapters_and_hooks_are_neither_frozen_nor_passed_over(encoder, tokenizer, calls):
    attention = next(encoder.blocks()).self_attn
    plain = attention.q_proj
    for call in calls:
        call()
        call()

    def adapt():
        attention.q_proj = Adapter(plain)

    def hook():
        hooks.append(attention.q_proj.register_forward_hook(lambda module, args, out: out * 2))

    def pre_hook():
        hooks.append(attention.register_forward_pre_hook(lambda module, args: None))

    def patch():
        attention.q_proj.forward = lambda x: x

    for change in (adapt, hook, pre_hook, patch):
        hooks = []
        change()
        assert encoder.encode(TEXTS, tokenizer).shape[0] == len(TEXTS)  # by its modules, and never from a graph
        assert [launches(calls[1]) for _ in range(3)] == [0, 0, 0]
        attention.q_proj = plain
        plain.__dict__.pop("forward", None)
        for handle in hooks:
            handle.remove()
        for call in calls:
            call()
            call()
            assert launches(call) == 1


def test_memory_of_many_shapes_is_bounded_and_goes_with_the_device(make, tokenizer):
    """bigG's width with fewer layers. Only the hidden states that are asked for are kept."""
    before = device_bytes()
    encoder = make(width=1280, heads=20, mlp=5120, layers=6, projection=1280)
    weights = device_bytes() - before
    pair = ((encoder,), (tokenizer,))
    for size in (1, 2, 3, 5, 8, 13, 21, 32):
        for _ in range(3):
            encode_prompts_xl(*pair, [f"prompt {number}" for number in range(size)])
    assert 0 < runner(encoder).bytes() < 200 << 20
    encoder.to("cpu")
    torch.cuda.empty_cache()
    assert device_bytes() - before < weights * 0.02 + (32 << 20)


def test_a_bound_that_is_too_small_runs_without_graphs(encoder, tokenizer, calls):
    held = encoder.warm_up()
    assert held == runner(encoder).bytes() > 0
    assert [launches(call) for call in calls] == [1, 0]
    encoder.to("cuda:0")
    assert encoder.warm_up(memory=0) == 0
    for call in calls:
        for _ in range(3):
            assert launches(call) == 0
    assert runner(encoder).bytes() == 0
    assert encoder.warm_up(memory=GRAPH_MEMORY) == 0  # What did not fit is not tried again until weights change.


def test_warm_up_leaves_nothing_to_capture(encoder, tokenizer):
    encoder.warm_up(hidden_states=[])
    with recording() as events:
        for size in (1, 30, 400, 3000):
            encoder.encode([f"number {number} of {size}" for number in range(size)], tokenizer)
        for size in (1, 7, 32):
            encode_prompts(encoder, tokenizer, [f"number {number}" for number in range(size)])
    assert not starting(events, "graphInstantiate", "beginCapture")
    assert len(starting(events, "graphLaunch")) >= 7


def test_few_captures_in_many_calls_of_mixed_sizes(encoder, tokenizer):
    pick = random.Random(0)
    captured = replayed = 0
    for _ in range(400):
        size = int(10 ** pick.uniform(0, 3.3))
        with recording() as events:
            encoder.encode([f"{pick.random()} number {number}" for number in range(size)], tokenizer)
        captured += len(starting(events, "graphInstantiate"))
        replayed += len(starting(events, "graphLaunch"))
    assert captured <= 12 and replayed > 400
