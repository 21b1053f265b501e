"""`encode` against a naive twin that encodes row by row, and the plan against the sets that it stands for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from towers import relative

from cliptok.encoder import TextConfig, TextEncoder, attention, products
from cliptok.encoder.plan import build_batch, cut_batches, sort_window
from cliptok.encoder.products import compute_dtype

START, END = 49406, 49407


class Packed:
    """What `Tokenizer.encode_packed` returns."""

    def __init__(self, rows) -> None:
        self.input_ids = np.array(list(itertools.chain(*rows)), dtype=np.int32)
        self.offsets = np.cumsum([0, *map(len, rows)])


@torch.no_grad()
def row_by_row(encoder, rows):
    """The naive twin: every text alone, unpadded, through the plain forward pass."""
    outputs = [encoder(torch.tensor([row])) for row in rows]
    return torch.cat([o.pooler_output if o.text_embeds is None else o.text_embeds for o in outputs])


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


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(st.integers(0, 300), min_size=1, max_size=9) | st.lists(st.just(256), min_size=1, max_size=9),
        min_size=1,
    ),
    st.integers(1, 40),
    st.sampled_from([1, 4, 32]),
)
def test_plan_is_the_trie_of_its_rows(rows, budget, chunk):
    packed = Packed(rows)
    window = sort_window(packed.input_ids, packed.offsets)
    distinct = sorted({tuple(row) for row in rows})
    assert [tuple(r[:n]) for r, n in zip(window.rows.tolist(), window.lengths, strict=True)] == distinct
    assert [distinct[i] for i in window.inverse] == [tuple(row) for row in rows]
    seen = []
    for start, stop in cut_batches(window, budget):
        batch = build_batch(window, start, stop, chunk)
        prefixes = {row[: n + 1] for row in distinct[start:stop] for n in range(len(row))}
        assert batch.nodes == len(prefixes) and (batch.nodes <= budget or stop == start + 1)
        # Rebuild every node's text from what attention may see of it, and compare with the trie of the rows.
        padded = batch.shape.padded
        pairs = list(zip(batch.tokens, batch.positions, strict=True))
        assert len(pairs) < len(set(pairs)) + chunk
        tokens, positions = batch.tokens[batch.pair], batch.positions[batch.pair]
        own = np.arange(padded).reshape(-1, chunk)
        ancestors = [row for group in batch.ancestors for row in group]
        keys = [[*a, *b] for a, b in zip(ancestors, own, strict=True)]
        assert {len(row) % 32 for row in keys} == {0}
        number, end = np.append(batch.number, 0), np.append(batch.subtree_end, 0)
        real = [node for node in range(padded) if number[node] < batch.nodes]
        assert sorted(number[real]) == list(range(batch.nodes))
        texts = {}
        for node in real:
            visible = [k for k in keys[node // chunk] if number[k] <= number[node] < end[k]]
            assert len(visible) == len(set(visible))
            visible.sort(key=lambda k: positions[k])
            assert [positions[k] for k in visible] == list(range(len(visible)))
            texts[node] = tuple(int(tokens[k]) for k in visible)
        assert len(texts) == len(prefixes) and set(texts.values()) == prefixes
        assert [texts[node] for node in batch.ends] == distinct[start:stop]
        assert all(end[node] == number[node] + 1 for node in range(padded) if node not in texts)
        seen.extend(batch.outputs)
    assert seen == list(range(len(distinct)))


def test_every_kernel_gives_the_same(family, monkeypatch):
    """The products of every CPU, and the attention that runs on CUDA, whichever of them this machine prefers."""
    from towers import hf_model

    encoder = TextEncoder.from_pretrained(
        dict(hf_model(family).state_dict()), heads=family.heads, activation=family.activation
    )
    rows = [[START, *body, END] for body in ([1, 2] * 30, [1, 2, 3], [1, 2] * 20, [], *([4, n] for n in range(1, 30)))]
    expected = row_by_row(encoder, rows)
    assert relative(encoder.encode(Packed(rows)), expected) < 2e-6
    monkeypatch.setattr(products, "_onednn_linear", lambda: None)
    assert relative(encoder.encode(Packed(rows)), expected) < 2e-6
    monkeypatch.setattr(attention, "_attention_by_products", attention._fused_attention)
    assert relative(encoder.encode(Packed(rows)), expected) < 2e-6


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("native", [False, True])
def test_half_precision_is_no_further_from_float64_than_transformers(dtype, native, tokenizer, monkeypatch):
    """Both where the CPU has instructions for it and where products are done in float32."""
    import copy

    from towers import FAMILIES, hf_model

    from cliptok.encoder import encode as module

    config = TextConfig(**FAMILIES["bigG"])
    half = hf_model(config).to(dtype)
    encoder = TextEncoder.from_pretrained(dict(half.state_dict()), heads=config.heads, activation="gelu")
    monkeypatch.setattr(module, "compute_dtype", lambda *_: dtype if native else torch.float32)
    texts = [f"a photo of a {noun} number {n}" for noun in ("cat", "dog", "red bird") for n in range(8)]
    got = encoder.encode(texts, tokenizer)
    assert got.dtype == dtype
    ids = tokenizer(texts, padding=True, return_tensors="pt").input_ids
    with torch.no_grad():
        exact = copy.deepcopy(half).double()(ids).text_embeds
        theirs = half(ids).text_embeds
    # Both are sums of random rounding; without float32 in between ours may be a few percent to either side.
    margin = 1.05 if native else 1.0
    assert (got.double() - exact).norm() <= margin * (theirs.double() - exact).norm()


def test_compute_dtype():
    cpu = torch.device("cpu")
    assert compute_dtype(torch.float32, cpu) == torch.float32
    assert compute_dtype(torch.bfloat16, torch.device("cuda")) == torch.bfloat16
    assert compute_dtype(torch.bfloat16, cpu) in (torch.bfloat16, torch.float32)


def test_results_can_be_trained_on(small, tokenizer):
    embeds = small.encode(TEXTS, tokenizer)
    assert not embeds.is_inference() and not embeds.requires_grad
    head = torch.nn.Linear(48, 2)
    head(embeds).sum().backward()
    assert head.weight.grad is not None


def test_wrapped_layers_are_refused_and_not_passed_over(small, tokenizer):
    import copy

    class Adapter(torch.nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base_layer, self.weight, self.bias = base, base.weight, base.bias

        def forward(self, x):
            return self.base_layer(x) + 1

    encoder = copy.deepcopy(small)
    block = next(encoder.blocks())
    block.self_attn.q_proj = Adapter(block.self_attn.q_proj)
    with pytest.raises(TypeError, match=r"Adapter does at encoder\.layers\.0\.self_attn\.q_proj; merge"):
        encoder.encode(TEXTS, tokenizer)


def test_248_positions(tokenizer):
    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig(width=64, layers=2, heads=2, mlp=128, positions=248)).eval()
    rows = [[START, *([7, 8] * 123), END], [START, *([7, 8] * 100), END], [START, END]]
    assert relative(encoder.encode(Packed(rows), budget=300), row_by_row(encoder, rows)) < 2e-6
