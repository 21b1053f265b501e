"""Token tables that grow, and textual inversion in every file format."""

from __future__ import annotations

import copy
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file

from cliptok import Tokenizer
from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder.placeholders import expand_placeholders


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return TextEncoder(TextConfig(width=32, layers=2, heads=1, mlp=64)).eval(), Tokenizer()


def write(kind: str, folder, vectors):
    """The file formats as their writers make them."""
    if kind == "diffusers.safetensors":
        save_file({"<cat-toy>": vectors}, folder / "learned.safetensors")
    elif kind == "diffusers.bin":
        torch.save({"<cat-toy>": vectors}, folder / "learned.bin")
    elif kind == "a1111.pt":
        content = {
            "string_to_token": {"*": 265},
            "string_to_param": {"*": vectors},
            "name": "<cat-toy>",
            "step": 499,
            "sd_checkpoint": None,
        }
        torch.save(content, folder / "learned.pt")
    elif kind == "a1111.safetensors":
        save_file({"emb_params": vectors}, folder / "<cat-toy>.safetensors")
    elif kind == "sdxl":
        save_file({"clip_l": vectors, "clip_g": torch.zeros(len(vectors), 48)}, folder / "<cat-toy>.safetensors")
    return next(iter(folder.iterdir()))


@pytest.mark.parametrize("kind", ["diffusers.safetensors", "diffusers.bin", "a1111.pt", "a1111.safetensors", "sdxl"])
@pytest.mark.parametrize("count", [1, 3])
def test_every_format_loads_and_unloads(pair, tmp_path, kind, count):
    encoder, tokenizer = pair
    vectors = torch.randn(count, 32)
    before, ids_before = encoder.encode(["a photo of a cat"], tokenizer), tokenizer("a <cat-toy>")["input_ids"]
    inversion = encoder.load_textual_inversion(write(kind, tmp_path, vectors), tokenizer)
    assert inversion.tokens == ("<cat-toy>", "<cat-toy>_1", "<cat-toy>_2")[:count]
    assert inversion.ids == tuple(range(49408, 49408 + count))
    assert torch.equal(encoder.get_input_embeddings().weight[list(inversion.ids)], vectors)

    # In a prompt the placeholder stands for all of its vectors.
    text = expand_placeholders(tokenizer, ["a photo of <cat-toy>"])[0]
    ids = tokenizer(text)["input_ids"]
    assert ids == [49406, 320, 1125, 539, *inversion.ids, 49407]
    expected = encoder(torch.tensor([ids])).pooler_output.detach()
    torch.testing.assert_close(encoder.encode(["a photo of <cat-toy>"], tokenizer), expected, rtol=1e-5, atol=1e-6)

    inversion.unload()
    assert encoder.get_input_embeddings().num_embeddings == encoder.config.vocabulary == 49408
    assert tokenizer("a <cat-toy>")["input_ids"] == ids_before and len(tokenizer) == 49408
    assert torch.equal(encoder.encode(["a photo of a cat"], tokenizer), before)
    with pytest.raises(ValueError, match="unloaded already"):
        inversion.unload()


def test_equals_diffusers(tmp_path, pair):
    """The same file through diffusers' loader into transformers' tokenizer and encoder."""
    mixin = pytest.importorskip("diffusers.loaders").TextualInversionLoaderMixin
    from transformers import CLIPTextModel, CLIPTokenizer

    encoder, tokenizer = pair
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    encoder.save_pretrained(tmp_path / "encoder")
    theirs = CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")
    model = CLIPTextModel.from_pretrained(tmp_path / "encoder").eval()
    (tmp_path / "files").mkdir()
    path = write("diffusers.safetensors", tmp_path / "files", torch.randn(3, 32))

    class Pipeline(mixin):
        components: ClassVar[dict] = {}
        hf_device_map = None

    Pipeline().load_textual_inversion(str(path), tokenizer=theirs, text_encoder=model)
    encoder.load_textual_inversion(path, tokenizer)
    prompt = "a <cat-toy> and another <cat-toy>, in oil"
    ids = theirs(Pipeline().maybe_convert_prompt(prompt, theirs), return_tensors="pt").input_ids
    expected = model(ids).pooler_output.detach()
    torch.testing.assert_close(encoder.encode([prompt], tokenizer), expected, rtol=1e-5, atol=1e-6)
    # and diffusers' own conversion works on our tokenizer
    assert tokenizer(Pipeline().maybe_convert_prompt(prompt, tokenizer))["input_ids"] == ids[0].tolist()


def test_diffusers_loads_into_ours(pair, tmp_path):
    mixin = pytest.importorskip("diffusers.loaders").TextualInversionLoaderMixin

    class Pipeline(mixin):
        components: ClassVar[dict] = {}
        hf_device_map = None

    encoder, tokenizer = pair
    vectors = torch.randn(2, 32)
    path = write("diffusers.bin", tmp_path, vectors)
    Pipeline().load_textual_inversion(str(path), tokenizer=tokenizer, text_encoder=encoder)
    ids = tokenizer.convert_tokens_to_ids(["<cat-toy>", "<cat-toy>_1"])
    assert torch.equal(encoder.get_input_embeddings().weight[ids], vectors)


def test_unloading_the_first_of_two_leaves_the_second(pair):
    encoder, tokenizer = pair
    first = encoder.load_textual_inversion(torch.ones(2, 32), tokenizer, "<one>")
    second = encoder.load_textual_inversion({"<two>": torch.full((32,), 2.0)}, tokenizer)
    before = encoder.encode(["a <two>"], tokenizer)
    first.unload()
    assert tokenizer.convert_tokens_to_ids("<two>") == second.ids[0] == 49410
    assert torch.equal(encoder.encode(["a <two>"], tokenizer), before)
    second.unload()
    assert len(tokenizer) == 49408 and "<two>" not in tokenizer.get_vocab()
    assert encoder.get_input_embeddings().num_embeddings == encoder.config.vocabulary == 49408

    # A table that the user made larger in the meantime is left alone.
    third = encoder.load_textual_inversion(torch.ones(1, 32), tokenizer, "<three>")
    encoder.resize_token_embeddings(49500)
    third.unload()
    assert encoder.get_input_embeddings().num_embeddings == 49500


def test_expansion_is_not_repeated(pair):
    encoder, tokenizer = pair
    encoder.load_textual_inversion(torch.ones(3, 32), tokenizer, "<s>")
    once = expand_placeholders(tokenizer, ["<s> and <s>", "nothing"])
    assert once == ["<s> <s>_1 <s>_2 and <s> <s>_1 <s>_2", "nothing"]
    assert expand_placeholders(tokenizer, once) == once


@pytest.mark.parametrize(
    ("source", "token", "message"),
    [
        (torch.ones(1, 16), "<x>", "width 16, but the encoder's width is 32"),
        (torch.ones(1, 32), None, "give token="),
        (torch.ones(1, 32), "cat</w>", "in the tokenizer already"),
        (torch.full((1, 32), torch.nan), "<x>", "not finite"),
        ({"a": torch.ones(1), "b": torch.ones(1)}, "<x>", "no textual inversion that is known; it holds a, b"),
        ({"clip_l": torch.ones(1, 7), "clip_g": torch.ones(1, 9)}, "<x>", "clip_g of width 9, clip_l of width 7"),
    ],
)
def test_bad_files_change_nothing(pair, source, token, message):
    encoder, tokenizer = pair
    with pytest.raises(ValueError, match=message):
        encoder.load_textual_inversion(source, tokenizer, token)
    assert len(tokenizer) == 49408 and encoder.config.vocabulary == 49408


def test_resize(pair):
    encoder, _ = pair
    table = copy.deepcopy(encoder.get_input_embeddings().weight.detach())
    assert encoder.resize_token_embeddings() is encoder.get_input_embeddings()
    grown = encoder.resize_token_embeddings(49500)
    assert encoder.config.vocabulary == 49500 and torch.equal(grown.weight[:49408], table)
    torch.testing.assert_close(grown.weight[49408:], table.mean(0).expand(92, -1), atol=1e-4, rtol=0)
    assert len(grown.weight[49408:].unique(dim=0)) == 92  # no two alike, or they would train alike
    assert torch.equal(encoder.resize_token_embeddings(49408).weight, table)
    rows = encoder.resize_token_embeddings(49409, pad_to_multiple_of=64, mean_resizing=False).weight
    assert len(rows) == encoder.config.vocab_size == 49472 and 0.015 < float(rows[49408:].detach().std()) < 0.025
    encoder.resize_token_embeddings(49408)
    with pytest.raises(ValueError, match="at least 1"):
        encoder.resize_token_embeddings(0)
