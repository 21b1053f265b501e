"""The forward pass against transformers and open_clip."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Mapping

import pytest
import torch

from cliptok.encoder import PRESETS, TextConfig, TextEncoder
from support.towers import config_of, hf_model, load_named, random_rows, relative, same


def ours_from(model, config: TextConfig) -> TextEncoder:
    return TextEncoder.from_pretrained(
        dict(model.state_dict()), heads=config.heads, activation=config.activation, pad_id=config.pad_id
    )


def outputs(output) -> dict:
    names = ("last_hidden_state", "pooler_output", "text_embeds")
    return {name: value for name in names if (value := getattr(output, name, None)) is not None}


@pytest.mark.parametrize("masked", [None, "right", "left"])
@torch.no_grad()
def test_equals_transformers(family, masked):
    reference = hf_model(family)
    encoder = ours_from(reference, family)
    ids = random_rows(family)
    mask = None
    if masked == "right":
        mask = (torch.arange(ids.shape[1]) <= (ids == family.end_id).int().argmax(1)[:, None]).long()
    elif masked == "left":
        mask = torch.ones_like(ids)
        mask[2, :3] = 0
        mask[3, :] = 0
    theirs = reference(ids, attention_mask=mask, output_hidden_states=True)
    mine = encoder(ids, attention_mask=mask, output_hidden_states=True)
    expected = outputs(theirs)
    assert expected
    for name, value in expected.items():
        assert relative(mine[name], value) < 1e-6, name
    assert len(mine.hidden_states) == family.layers + 1 == len(theirs.hidden_states)
    for ours, other in zip(mine.hidden_states, theirs.hidden_states, strict=True):
        assert relative(ours, other) < 1e-6


@torch.no_grad()
def test_equals_open_clip(family):
    open_clip = pytest.importorskip("open_clip.transformer")
    torch.manual_seed(0)
    from functools import partial

    from torch import nn

    activation = nn.GELU if family.activation == "gelu" else open_clip.QuickGELU
    tower = open_clip.TextTransformer(
        context_length=77,
        width=family.width,
        heads=family.heads,
        layers=family.layers,
        output_dim=family.projection or family.width,
        act_layer=partial(activation),
    ).eval()
    ids = random_rows(family, length=77)
    encoder = TextEncoder.from_pretrained(dict(tower.state_dict()), heads=family.heads, activation=family.activation)
    # open_clip pools at the largest id, which is the end of text here.
    assert relative(encoder(ids).text_embeds, tower(ids)) < 1e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision_is_no_further_from_float64_than_transformers(family, dtype):
    reference = hf_model(family)
    ids = random_rows(family, count=16)
    half = copy.deepcopy(reference).to(dtype)
    encoder = ours_from(half, family)
    assert encoder.dtype == dtype
    exact = copy.deepcopy(half).double()(ids)
    theirs, mine = half(ids), encoder(ids)
    for name, value in outputs(exact).items():
        assert (mine[name].double() - value).norm() <= 1.001 * (theirs[name].double() - value).norm()


@torch.no_grad()
def test_full_size_equals_transformers_and_encode():
    """ViT-L/14 as published, once."""
    config = TextConfig.preset("ViT-L-14")
    reference = hf_model(config)
    encoder = ours_from(reference, config)
    ids = random_rows(config, count=3, length=24)
    expected = reference(ids, output_hidden_states=True)
    mine = encoder(ids, output_hidden_states=True)
    assert relative(mine.text_embeds, expected.text_embeds) < 1e-5
    assert relative(mine.last_hidden_state, expected.last_hidden_state) < 1e-5
    rows = [row[: int((row == config.end_id).int().argmax()) + 1].tolist() for row in ids]

    class Packed:
        input_ids = torch.tensor(list(itertools.chain(*rows))).numpy()
        offsets = torch.tensor([0, *map(len, rows)]).cumsum(0).numpy()

    assert relative(encoder.encode(Packed), expected.text_embeds) < 1e-5


def test_pools_at_the_end_of_text_and_not_at_the_largest_id(small):
    """transformers' rule for old configurations would take the added token."""
    encoder = copy.deepcopy(small)
    encoder.resize_token_embeddings(49410)
    ids = torch.tensor([[49406, 320, 49409, 320, 49407, 49407]])
    output = encoder.text_model(ids)
    assert torch.equal(output.pooler_output[0], output.last_hidden_state[0, 4])
    assert torch.equal(encoder(ids).text_embeds, encoder.text_projection(output.pooler_output))


def test_a_row_without_end_of_text_is_named(small):
    ids = torch.tensor([[49406, 320, 49407], [49406, 320, 320]])
    output = small(ids)
    for read in (lambda: output.text_embeds, lambda: output["text_embeds"], lambda: output[0], lambda: output[:1]):
        with pytest.raises(ValueError, match="row 1 has no end-of-text id"):
            read()
    with pytest.raises(ValueError, match="row 1 has no end-of-text id"):
        small.text_model(ids)["pooler_output"]
    # Long prompts are encoded in chunks without an end: their states are right, and nothing pooled looks like a number.
    assert torch.equal(output[1], output.last_hidden_state) and bool(output.last_hidden_state.isfinite().all())
    embeds = small(ids, return_dict=False)[0]
    assert bool(embeds[0].isfinite().all()) and bool(embeds[1].isnan().all())


@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        (torch.zeros(5, dtype=torch.long), None, r"shape \(n, length\)"),
        (torch.zeros(1, 78, dtype=torch.long), None, "77 positions"),
        (torch.full((1, 4), 49407), torch.ones(1, 3), "attention_mask has shape"),
    ],
)
def test_wrong_shapes_are_refused(small, ids, mask, message):
    with pytest.raises(ValueError, match=message):
        small(ids, attention_mask=mask)


@pytest.mark.parametrize("hidden", [False, True])
def test_fields_are_those_of_transformers_output(family, hidden):
    reference = hf_model(family)
    encoder = ours_from(reference, family)
    ids = random_rows(family)
    mine, theirs = encoder(ids, output_hidden_states=hidden), reference(ids, output_hidden_states=hidden)
    assert list(mine) == list(theirs) and mine.fields == tuple(vars(theirs)) and isinstance(mine, Mapping)
    for name in {*vars(theirs), "pooler_output", "text_embeds"}:
        assert hasattr(mine, name) == hasattr(theirs, name)
        assert (getattr(mine, name, None) is None) == (getattr(theirs, name, None) is None)
    for index in (0, 1, -1, slice(0, 2)):
        assert type(mine[index]) is type(theirs[index])
    assert len(encoder(ids, output_hidden_states=hidden, return_dict=False)) == len(theirs.to_tuple())
    with pytest.raises(KeyError, match="attentions"):
        mine["attentions"]


def test_a_whole_clips_output_stands_in_for_clip_text_models(small):
    """Its first value must be the states that Stable Diffusion's pipeline takes; the embeddings have their name."""
    encoder = copy.deepcopy(small)
    encoder.config.architecture = "CLIPModel"
    ids = torch.tensor([[49406, 320, 49407]])
    output = encoder(ids, output_hidden_states=True)
    assert output[0] is output.last_hidden_state and output[1] is output.pooler_output
    assert output[-1] is output.hidden_states and len(output.to_tuple()) == 3
    assert torch.equal(output["text_embeds"], small(ids).text_embeds)


@torch.no_grad()
def test_some_hidden_states(small):
    """By number, as in transformers 5, and by the configuration."""
    ids = torch.tensor([[49406, 320, 49407]])
    states = small(ids, output_hidden_states=True).hidden_states
    assert small(ids, output_hidden_states=[]).hidden_states is None
    for wanted, kept in (([0, -1], {0, 3}), ((2,), {2}), (1, {1}), (-2, {2})):
        output = small(ids, output_hidden_states=wanted)
        assert [state is not None for state in output.hidden_states] == [number in kept for number in range(4)]
        assert all(torch.equal(output.clone().hidden_states[number], states[number]) for number in kept)
    with pytest.raises(ValueError, match="asks for number 4, and there are 4"):
        small(ids, output_hidden_states=[0, 4])
    with pytest.raises(TypeError, match="output_hidden_states is 'all'"):
        small(ids, output_hidden_states="all")
    config = TextConfig.from_transformers({**small.config.to_dict(), "output_hidden_states": True})
    small.config.output_hidden_states = config.output_hidden_states
    assert len(small(ids).hidden_states) == 4 and small(ids, output_hidden_states=False).hidden_states is None


@torch.no_grad()
def test_outputs_travel(small):
    """Through accelerate, pickle, DataParallel's way of gathering, and TorchScript, whose outputs are tuples."""
    from accelerate.utils.operations import convert_to_fp32, send_to_device

    ids = torch.tensor([[49406, 320, 49407], [49406, 5, 49407]])
    output = small(ids, output_hidden_states=True)
    half = convert_to_fp32(copy.deepcopy(small).bfloat16()(ids))
    assert type(half) is type(output) and half.text_embeds.dtype == torch.float32
    gathered = type(output)((name, output[name]) for name in output)
    for copied in (pickle.loads(pickle.dumps(output)), send_to_device(output, "cpu"), gathered, output.clone()):
        assert type(copied) is type(output) and list(copied) == list(output)
        assert torch.equal(copied.text_embeds, output.text_embeds) and len(copied.hidden_states) == 4
    traced = torch.jit.trace(small, (ids,))
    torch.testing.assert_close(traced(ids.flip(0))[0], small(ids.flip(0)).text_embeds)


@pytest.mark.parametrize("family_name", ["ViT-B", "ViT-L"])
def test_state_dicts_load_both_ways(family_name):
    """With the names of transformers 5, and with those of transformers 4, which has `text_model.` everywhere."""
    config = config_of(family_name)
    reference, encoder = hf_model(config), TextEncoder(config).eval()
    reference.load_state_dict(encoder.state_dict())
    same(encoder, reference, config)
    reference = hf_model(config, seed=3)
    for names in (reference.state_dict(), load_named(reference)):
        encoder = TextEncoder(config).eval()
        encoder.load_state_dict(names)
        same(encoder, reference, config)
    theirs = {name for name, _ in reference.named_modules() if not name.endswith("activation_fn")}
    assert {name for name, _ in encoder.named_modules()} == theirs


@torch.no_grad()
def test_embeddings_may_be_given_in_place_of_ids(small):
    ids = torch.tensor([[49406, 320, 49407]])
    given = small(inputs_embeds=small.get_input_embeddings()(ids))
    assert torch.equal(given.last_hidden_state, small(ids).last_hidden_state)
    with pytest.raises(ValueError, match="no end-of-text id"):
        given["text_embeds"]
    for wrong in ({}, {"input_ids": ids, "inputs_embeds": given.last_hidden_state}):
        with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
            small(**wrong)
    with pytest.raises(ValueError, match="output_attentions"):
        small(ids, output_attentions=True)


def test_gradients_equal_transformers(family):
    reference = hf_model(family)
    encoder = ours_from(reference, family).train()
    encoder.gradient_checkpointing = True
    ids = random_rows(family)
    reference(ids).last_hidden_state.square().sum().backward()
    encoder(ids).last_hidden_state.square().sum().backward()
    theirs = {name: p.grad for name, p in reference.named_parameters()}
    compared = 0
    for name, parameter in encoder.named_parameters():
        if theirs[name] is not None:
            # A key bias moves every score of a query alike: its gradient is rounding around zero.
            if not name.endswith("k_proj.bias"):
                assert relative(parameter.grad, theirs[name]) < 1e-4, name
            compared += 1
    assert compared == len(theirs) - (family.projection is not None)


@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 8), reason="before torch 2.8 graphs make no mappings"
)
def test_compiles_in_one_graph_and_exports(small):
    ids = torch.tensor([[49406, 320, 49407, 49407], [49406, 320, 1125, 49407]])
    expected = small(ids).text_embeds
    compiled = torch.compile(small, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(ids).text_embeds, expected)
    exported = torch.export.export(small, (ids,), dynamic_shapes={"input_ids": {0: torch.export.Dim("n")}})
    more = torch.cat([ids, ids, ids])
    torch.testing.assert_close(exported.module()(more).text_embeds, small(more).text_embeds)


def test_presets_have_the_published_sizes():
    sizes = {name: (c.width, c.layers, c.heads, c.mlp, c.activation, c.projection) for name, c in PRESETS.items()}
    assert sizes["ViT-B-32"] == sizes["ViT-B-16"] == (512, 12, 8, 2048, "quick_gelu", 512)
    assert sizes["ViT-L-14"] == (768, 12, 12, 3072, "quick_gelu", 768)
    assert sizes["SD2"] == (1024, 23, 16, 4096, "gelu", None)
    assert sizes["ViT-H-14"] == (1024, 24, 16, 4096, "gelu", 1024)
    assert sizes["ViT-bigG-14"] == (1280, 32, 20, 5120, "gelu", 1280)
    with torch.device("meta"):
        assert sum(p.numel() for p in TextEncoder("ViT-L-14").parameters()) == 123_650_304
    with pytest.raises(KeyError, match="ViT-B-32"):
        TextEncoder("ViT-X")


def test_initialisation_is_clips():
    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig(width=128, layers=8, heads=2, mlp=512, projection=64))
    block = next(encoder.blocks())
    expected = {
        encoder.embeddings.token_embedding.weight: 0.02,
        encoder.embeddings.position_embedding.weight: 0.01,
        block.self_attn.q_proj.weight: 128**-0.5,
        block.self_attn.out_proj.weight: 128**-0.5 * 16**-0.5,
        block.mlp.fc1.weight: 256**-0.5,
        block.mlp.fc2.weight: 128**-0.5 * 16**-0.5,
        encoder.text_projection.weight: 128**-0.5,
    }
    for parameter, deviation in expected.items():
        assert float(parameter.detach().std()) == pytest.approx(deviation, rel=0.05)
    with torch.device("meta"):
        empty = TextEncoder(encoder.config)
    empty.to_empty(device="cpu").reset_parameters()
    assert bool((empty.final_layer_norm.weight == 1).all()) and bool((block.self_attn.q_proj.bias == 0).all())
    assert all(bool(torch.isfinite(parameter).all()) for parameter in empty.parameters())
