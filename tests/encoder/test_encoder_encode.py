"""`encode` against a naive twin that encodes row by row: every kind of input, order, errors."""

from __future__ import annotations

import collections
import copy
import itertools
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptok.encoder import TextConfig, TextEncoder
from support.towers import END, START, Packed, relative, row_by_row

# Few distinct tokens, so that beginnings are shared, nested and repeated; now and then the full 77.
bodies = st.lists(st.integers(1, 3), max_size=12) | st.lists(st.integers(1, 2), min_size=75, max_size=75)


id_rows = st.lists(bodies.map(lambda body: [START, *body, END]), min_size=1, max_size=24)


@settings(max_examples=50, deadline=None)
@given(id_rows, st.sampled_from([1, 2, 5, 100]), st.sampled_from([1, 7, 40, 1000]))
def test_encode_equals_row_by_row(small, rows, window, budget):
    got = small.encode(Packed(rows), window=window, budget=budget)
    assert relative(got, row_by_row(small, rows)) < 2e-6


@settings(max_examples=12, deadline=None)
@given(id_rows, st.sampled_from([2, 100]), st.sampled_from([7, 1000]))
def test_batch_invariant_is_bitwise(small, rows, window, budget):
    got = small.encode(Packed(rows), window=window, budget=budget, batch_invariant=True)
    alone = [small.encode(Packed([row]), batch_invariant=True) for row in rows]
    assert torch.equal(got, torch.cat(alone))


TEXTS = [
    "a photo of a cat",
    "a photo",
    "",
    "a photo of a cat",
    "a dog " * 60,
    "a photo of a dog <|endoftext|> and what follows is not seen",
    "a photo of a dog",
]


def reference(encoder, tokenizer, texts=TEXTS):
    return row_by_row(encoder, [tokenizer(t, truncation=True, max_length=77)["input_ids"] for t in texts])


def test_texts_in_order_for_every_kind_of_input(small, tokenizer):
    expected = reference(small, tokenizer)
    assert relative(small.encode(TEXTS, tokenizer), expected) < 2e-6
    assert relative(small.encode(TEXTS), expected) < 2e-6
    assert relative(small.encode(tuple(TEXTS), tokenizer, window=3, budget=9), expected) < 2e-6
    assert small.encode(TEXTS[0], tokenizer).shape == (1, 48)
    assert small.encode([], tokenizer).shape == (0, 48)
    torch.testing.assert_close(small.encode(TEXTS, normalize=True), torch.nn.functional.normalize(expected, dim=-1))
    pooled = small.encode(TEXTS, output="pooler_output")
    assert pooled.shape == (len(TEXTS), 64) and not pooled.requires_grad


def test_arrow_columns(small, tokenizer):
    pa = pytest.importorskip("pyarrow")
    expected = reference(small, tokenizer)
    for column in (pa.array(TEXTS), pa.chunked_array([TEXTS[:2], TEXTS[2:]]), pa.array(TEXTS, pa.large_string())):
        assert relative(small.encode(column, tokenizer, window=4), expected) < 2e-6


def test_iterables_larger_than_memory_yield_and_are_read_as_they_are_needed(small, tokenizer):
    taken = 0

    def endless():
        nonlocal taken
        for text in itertools.cycle(TEXTS):
            taken += 1
            yield text

    blocks = small.encode(endless(), tokenizer, window=5)
    got = torch.cat(list(itertools.islice(blocks, 3)))
    blocks.close()
    assert got.shape == (15, 48) and taken <= 25
    assert relative(got, reference(small, tokenizer, (TEXTS * 3)[:15])) < 2e-6


def test_the_next_window_is_read_while_one_is_in_use(small, tokenizer):
    second = threading.Event()

    def source():
        yield from TEXTS[:3]
        second.set()
        yield from TEXTS[3:6]

    blocks = small.encode(source(), tokenizer, window=3)
    assert next(blocks).shape == (3, 48) and second.wait(timeout=30)
    assert [len(block) for block in blocks] == [3]


def test_progress_counts_texts(small, tokenizer, capsys):
    pytest.importorskip("tqdm")
    small.encode(TEXTS, tokenizer, progress=True, budget=9, window=4)
    assert f"{len(TEXTS)}/{len(TEXTS)}" in capsys.readouterr().err


def test_errors_of_the_source_reach_the_caller(small, tokenizer):
    def broken():
        yield "a"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(small.encode(broken(), tokenizer))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "hidden"}, "output must be"),
        ({"window": 0}, "window must be at least 1"),
        ({"budget": 0}, "budget must be at least 1"),
    ],
)
def test_bad_arguments(small, tokenizer, arguments, message):
    with pytest.raises(ValueError, match=message):
        small.encode(TEXTS, tokenizer, **arguments)


def test_bad_tokens_name_the_row(small):
    with pytest.raises(ValueError, match=r"row 1 has no end-of-text id \(49407\)"):
        small.encode(Packed([[START, END], [START, 5]]))
    with pytest.raises(ValueError, match=r"row 2 has no end-of-text"):
        list(small.encode(Packed([[START, END], [START, END], [START, 5], [START, END]]), window=2))
    with pytest.raises(ValueError, match="row 0 has 80 ids but the encoder has 77"):
        small.encode(Packed([[START] * 79 + [END]]))
    with pytest.raises(ValueError, match="the id 50000"):
        small.encode(Packed([[START, 50000, END]]))
    with pytest.raises(ValueError, match=r'no projection.*output="pooler_output"'):
        TextEncoder(TextConfig(width=32, heads=1, layers=1)).encode(Packed([[START, END]]), output="text_embeds")


@pytest.mark.parametrize("kind", [list, collections.deque, iter])
def test_bad_texts_name_their_row_of_all(small, tokenizer, kind):
    texts = [*TEXTS, None, *TEXTS]
    with pytest.raises(TypeError, match=r"texts\[7\] is None; expected str"):
        list(small.encode(kind(texts), tokenizer, window=3))
    with pytest.raises(ValueError, match=r"texts\[7\] holds a lone surrogate"):
        list(small.encode(kind([*TEXTS, "\ud800"]), tokenizer, window=3))


@pytest.mark.parametrize("texts", [5, None, b"a", {"a": 1}])
def test_what_holds_no_texts_is_refused_at_once(small, tokenizer, texts):
    with pytest.raises(TypeError, match=f"texts is {type(texts).__name__}; expected str, a sequence"):
        small.encode(texts, tokenizer)


def test_results_can_be_trained_on(small, tokenizer):
    embeds = small.encode(TEXTS, tokenizer)
    assert not embeds.is_inference() and not embeds.requires_grad
    head = torch.nn.Linear(48, 2)
    head(embeds).sum().backward()
    assert head.weight.grad is not None


class Adapter(torch.nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base_layer, self.weight, self.bias = base, base.weight, base.bias

    def forward(self, x):
        return self.base_layer(x) + 1


class Wrapper(torch.nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x, mask):
        return self.block(x, mask) * 0.5


def adapt(encoder):
    attention = next(encoder.blocks()).self_attn
    attention.q_proj = Adapter(attention.q_proj)


def wrap(encoder):
    encoder.encoder.layers[1] = Wrapper(encoder.encoder.layers[1])


def hook(encoder):
    encoder.encoder.layers[1].mlp.fc1.register_forward_hook(lambda module, args, output: output * 0)


def hook_itself(encoder):
    encoder.text_projection.register_forward_pre_hook(lambda module, args: (args[0] * 2 + 1,))


def parametrize(encoder):
    class Half(torch.nn.Module):
        def forward(self, weight):
            return weight / 2

    torch.nn.utils.parametrize.register_parametrization(next(encoder.blocks()).mlp.fc1, "weight", Half())


def weight_norm(encoder):
    layer = next(encoder.blocks()).mlp.fc2
    torch.nn.utils.parametrizations.weight_norm(layer)
    with torch.no_grad():
        layer.parametrizations.weight.original0.mul_(1.5)


def replace_forward(encoder):
    layer = next(encoder.blocks()).mlp
    layer.forward = lambda x: x * 0.1


def project_with_a_bias(encoder):
    encoder.text_projection = torch.nn.Linear(64, 48)


def drop_a_bias(encoder):
    encoder.encoder.layers[1].mlp.fc1.bias = None


def raise_an_epsilon(encoder):
    encoder.encoder.layers[1].layer_norm2.eps = 5.0


def split_into_more_heads(encoder):
    encoder.encoder.layers[1].self_attn.heads = 4


class Doubled(torch.Tensor):
    """Weights that are more than numbers, as quantized and sharded ones are."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        found = super().__torch_function__(function, types, args, kwargs or {})
        return (found * 2).as_subclass(torch.Tensor) if function is torch.nn.functional.linear else found


def exchange_a_tensor(encoder):
    layer = encoder.encoder.layers[1].mlp.fc1
    layer.weight = torch.nn.Parameter(layer.weight.detach().as_subclass(Doubled), requires_grad=False)


def limit_norms(encoder):
    encoder.embeddings.token_embedding.max_norm = 0.05


def take_a_block_away(encoder):
    encoder.encoder.layers = encoder.encoder.layers[:-1]


CHANGES = [
    *(adapt, wrap, hook, hook_itself, parametrize, weight_norm, replace_forward, project_with_a_bias, drop_a_bias),
    *(raise_an_epsilon, split_into_more_heads, exchange_a_tensor, limit_norms, take_a_block_away),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_more_than_weights_goes_through_the_forward_pass(small, tokenizer, change):
    encoder = copy.deepcopy(small)
    change(encoder)
    expected = reference(encoder, tokenizer)
    assert relative(expected, reference(small, tokenizer)) > 0.01  # the change is one that shows
    assert relative(encoder.encode(TEXTS, tokenizer), expected) < 2e-6
    blocks = list(encoder.encode(iter(TEXTS), tokenizer, window=3, normalize=True))
    assert [len(block) for block in blocks] == [3, 3, 1]
    assert relative(torch.cat(blocks), torch.nn.functional.normalize(expected, dim=-1)) < 2e-6
    packed = Packed([tokenizer(text, truncation=True)["input_ids"] for text in TEXTS])
    assert relative(encoder.encode(packed), expected) < 2e-6
    alone = [encoder.encode(text, tokenizer, batch_invariant=True) for text in TEXTS]
    assert torch.equal(encoder.encode(TEXTS, tokenizer, batch_invariant=True), torch.cat(alone))
    assert encoder.encode([], tokenizer).shape == (0, 48)
    pooled = encoder.encode(TEXTS, tokenizer, output="pooler_output")
    assert pooled.shape == (len(TEXTS), 64) and not pooled.requires_grad


def test_padding_is_complete_where_a_layer_looks_ahead(small, tokenizer):
    encoder = copy.deepcopy(small)
    encoder.encoder.layers[0].self_attn.causal = False
    ids = tokenizer(TEXTS, padding="max_length", truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        assert relative(encoder.encode(TEXTS, tokenizer), encoder(ids).text_embeds) < 2e-6


def test_a_wrapped_encoder_gives_only_what_its_output_has(small, tokenizer):
    encoder = copy.deepcopy(small)
    encoder.register_forward_pre_hook(lambda module, args: (args[0] * 0 + END,))
    assert relative(encoder.encode(TEXTS, tokenizer), reference(encoder, tokenizer)) < 2e-6
    with pytest.raises(ValueError, match=r"hooks or a forward method of its own, and its output has no pooler_output"):
        encoder.encode(TEXTS, tokenizer, output="pooler_output")


def test_errors_are_the_same_through_the_forward_pass(small, tokenizer, capsys):
    encoder = copy.deepcopy(small)
    hook(encoder)
    with pytest.raises(ValueError, match=r"row 2 has no end-of-text"):
        encoder.encode(Packed([[START, END], [START, END], [START, 5]]))
    with pytest.raises(ValueError, match="the id 50000"):
        encoder.encode(Packed([[START, 50000, END]]))
    with pytest.raises(TypeError, match=r"texts\[7\] is None; expected str"):
        list(encoder.encode(iter([*TEXTS, None]), tokenizer, window=3))
    encoder.encode(TEXTS, tokenizer, progress=True)
    assert f"{len(TEXTS)}/{len(TEXTS)}" in capsys.readouterr().err


def test_248_positions(tokenizer):
    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig(width=64, layers=2, heads=2, mlp=128, positions=248)).eval()
    rows = [[START, *([7, 8] * 123), END], [START, *([7, 8] * 100), END], [START, END]]
    assert relative(encoder.encode(Packed(rows), budget=300), row_by_row(encoder, rows)) < 2e-6
