"""SDXL's second text: what an empty or blank one is, and how encoders' states of unequal lengths go together."""

import pytest
import torch

from cliptok import TextEncoder, Tokenizer
from cliptok.encoder import TextConfig
from cliptok.prompts import Conditioner

LONG = "a very long prompt, " * 30


@pytest.fixture(scope="module")
def xl():
    torch.manual_seed(0)
    one = TextConfig(width=32, layers=3, heads=2, mlp=64)
    two = TextConfig(width=64, layers=3, heads=2, mlp=64, projection=64, activation="gelu", pad_id=0)
    return [TextEncoder(one).eval(), TextEncoder(two).eval()], [
        Tokenizer.from_preset(name) for name in ("sdxl", "sdxl-2")
    ]


def conditioned(xl, dialect, *texts):
    return Conditioner(*xl, family="sdxl", dialect=dialect)(*texts, negative=False)


@pytest.mark.parametrize("dialect", ["diffusers", "compel", "invokeai"])
def test_an_empty_second_text_is_the_first(xl, dialect):
    alone, both = conditioned(xl, dialect, "a cat"), conditioned(xl, dialect, "a cat", "")
    assert all(torch.equal(alone[name], both[name]) for name in alone)


def test_a_blank_style_is_the_prompt_in_invokeai_alone(xl):
    prompts, styles = ["a cat", "a dog"], ["  ", "oil"]
    blank, filled = conditioned(xl, "invokeai", prompts, styles), conditioned(xl, "invokeai", prompts, ["a cat", "oil"])
    assert all(torch.equal(blank[name], filled[name]) for name in blank)
    blank, filled = (conditioned(xl, "compel", prompts, [style, "oil"]) for style in (" ", "a cat"))
    assert not torch.equal(blank.prompt_embeds, filled.prompt_embeds)


def test_each_empty_text_is_zeros_in_invokeai(xl):
    compel = conditioned(xl, "compel", ["a cat", "oil"]).prompt_embeds
    ours = conditioned(xl, "invokeai", ["", "a cat", ""], ["oil", "oil", ""])
    torch.testing.assert_close(ours.prompt_embeds[1], torch.cat([compel[0, :, :32], compel[1, :, 32:]], dim=-1))
    torch.testing.assert_close(ours.prompt_embeds[0, :, 32:], compel[1, :, 32:])
    assert not ours.prompt_embeds[0, :, :32].any() and not ours.prompt_embeds[2].any()
    assert ours.pooled_prompt_embeds[:2].any(1).all() and not ours.pooled_prompt_embeds[2].any()


@pytest.mark.parametrize(("dialect", "zeros"), [("invokeai", True), ("compel", False)])
def test_the_shorter_of_two_texts(xl, dialect, zeros):
    states = conditioned(xl, dialect, "a cat", LONG).prompt_embeds[0]
    short = conditioned(xl, dialect, "a cat").prompt_embeds[0]
    assert len(states) > 77
    torch.testing.assert_close(states[:77, :32], short[:, :32])
    assert bool(states[77:, :32].any()) != zeros and states[77:, 32:].any()
