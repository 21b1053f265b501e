"""Tokenizers that pad otherwise than the encoder was trained with are warned of; layers that were cut off are gone."""

import warnings

import pytest
import torch

from cliptok import TextEncoder, Tokenizer
from cliptok.prompts import Conditioner
from cliptok.prompts.stable_diffusion import encode_prompts
from support.towers import FAMILIES, TextConfig, hf_model, load_named, open_clip_model, open_clip_text

WRONG = "pad_token_id is 49407, and 0 in the encoder's own tokenizer. The image model reads padding too"
SKIPS = [None, 0, 1]


@pytest.fixture(scope="module")
def sd2():
    """An encoder that is known to pad with 0."""
    weights = open_clip_text(open_clip_model(TextConfig(**FAMILIES["ViT-H"])), "cond_stage_model.model.")
    return TextEncoder.from_pretrained(weights)


def test_another_padding_is_warned_of(sd2):
    with pytest.warns(UserWarning, match=WRONG):
        encode_prompts(sd2, Tokenizer(), "a cat")
    with pytest.warns(UserWarning, match=WRONG):
        Conditioner(sd2, Tokenizer(), family="sd2", dialect="diffusers")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own = encode_prompts(sd2, Tokenizer.from_preset("sd2"), "a cat")
        cond = Conditioner(sd2, Tokenizer.from_preset("sd2"), family="sd2", dialect="diffusers")
        assert torch.allclose(cond("a cat", negative=False).prompt_embeds, own, atol=1e-5)
        Conditioner(sd2, Tokenizer(), family="sd2", dialect="a1111")  # which has tokenizers of its own


@pytest.mark.parametrize("clip_skip", SKIPS)
@torch.no_grad()
def test_clip_skip_counts_from_the_layers_that_are_left(clip_skip):
    """As in diffusers with `text_encoder.encoder.layers` sliced, which people do too."""
    config = TextConfig(**{**FAMILIES["ViT-L"], "layers": 4})
    theirs, tokenizer = hf_model(config), Tokenizer()
    ours = TextEncoder.from_pretrained(load_named(theirs), heads=config.heads, activation=config.activation)
    for model in (theirs, ours):
        model.encoder.layers = model.encoder.layers[:-1]
    ids = torch.from_numpy(tokenizer.encode_batch(["a cat"], max_length=77))
    states = theirs(ids, output_hidden_states=True).hidden_states
    expected = theirs.final_layer_norm(states[-1 if clip_skip is None else -(clip_skip + 1)])
    for found in (
        encode_prompts(ours, tokenizer, "a cat", clip_skip=clip_skip),
        Conditioner(ours, tokenizer, dialect="diffusers")("a cat", negative=False, clip_skip=clip_skip).prompt_embeds,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="clip_skip 4"):
        encode_prompts(ours, tokenizer, "a cat", clip_skip=4)
