"""An encoder knows what it is: its tokenizer, its activation, and where its configuration and weights disagree."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from cliptok import Tokenizer
from cliptok.cli import main
from cliptok.encoder import TextConfig, TextEncoder, verify
from support.towers import FAMILIES, config_of, hf_model, load_named, open_clip_model, prefixed, relative, same

TRICKY = ["“curly” quotes &amp; more 😀 – café", "a photo of a cat"]


@pytest.fixture
def saved(tmp_path):
    """A folder of transformers' class with a projection, and how to change it."""
    hf_model(config_of("ViT-B")).save_pretrained(tmp_path)

    def change(drop="nothing", **values):
        path, config = tmp_path / "model.safetensors", tmp_path / "config.json"
        tensors = load_file(path)
        save_file({name: tensor for name, tensor in tensors.items() if drop not in name}, path)
        config.write_text(json.dumps({**json.loads(config.read_text()), **values}))
        return tmp_path

    return change


def test_a_missing_last_layer_is_refused_unless_meant(saved):
    folder = saved(drop="layers.2.")
    with pytest.raises(ValueError, match=r"says layers 3, but .*model\.safetensors has layers 2; give layers"):
        TextEncoder.from_pretrained(folder)
    assert TextEncoder.from_pretrained(folder, layers=2).config.layers == 2
    assert TextEncoder.from_pretrained(folder, num_hidden_layers=1).config.layers == 1


def test_a_missing_projection_is_refused_unless_meant(saved):
    folder = saved(drop="text_projection")
    with pytest.raises(ValueError, match=r"promises a projection to 48, but .* give projection=None"):
        TextEncoder.from_pretrained(folder)
    assert TextEncoder.from_pretrained(folder, projection=None).text_projection is None
    assert TextEncoder.from_pretrained(saved(architectures=["CLIPTextModel"])).text_projection is None


def test_fewer_layers_in_the_configuration_are_obeyed(saved):
    from transformers import CLIPTextModelWithProjection

    folder = saved(num_hidden_layers=2)
    same(
        TextEncoder.from_pretrained(folder),
        CLIPTextModelWithProjection.from_pretrained(folder).eval(),
        config_of("ViT-B"),
    )


@pytest.mark.parametrize(("name", "value"), [("intermediate_size", 128), ("vocab_size", 601), ("hidden_size", 32)])
def test_other_sizes_must_agree(saved, name, value):
    with pytest.raises(ValueError, match=rf"config\.json says \w+ {value}, but .* has \w+ \d+"):
        TextEncoder.from_pretrained(saved(**{name: value}))


def test_the_place_in_a_pipeline_says_which_class(tmp_path):
    """A CLIP with a projection in Stable Diffusion 1's place: there its first output must be the states."""
    hf_model(config_of("ViT-B")).save_pretrained(tmp_path / "text_encoder")
    (tmp_path / "model_index.json").write_text(json.dumps({"text_encoder": ["transformers", "CLIPTextModel"]}))
    encoder = TextEncoder.from_pretrained(tmp_path, subfolder="text_encoder")
    ids = torch.tensor([[598, 3, 599]])
    assert encoder.text_projection is None and encoder(ids)[0].ndim == 3


@pytest.mark.parametrize("custom", [False, True])
def test_open_clip_checkpoints_have_open_clips_tokenizer(tmp_path, custom):
    import open_clip

    config = TextConfig(**FAMILIES["ViT-B"])
    model = open_clip_model(config, custom)
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    description = {"model_cfg": {"text_cfg": {"width": 64, "heads": 2}, "embed_dim": 48, "quick_gelu": True}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(description))
    for source in (tmp_path, tmp_path / "open_clip_model.safetensors"):
        encoder = TextEncoder.from_pretrained(source)
        assert encoder.tokenizer.profile == "open_clip" and encoder.tokenizer.model_max_length == 77
        with torch.no_grad():
            expected = model.encode_text(open_clip.tokenize(TRICKY))
        assert relative(encoder.encode(TRICKY), expected) < 1e-5
        with pytest.warns(UserWarning, match=r"its profile is 'transformers', and 'open_clip' in the encoder's own"):
            other = encoder.encode(TRICKY, Tokenizer())
        assert relative(other, expected) > 1e-3


def test_the_tokenizer_beside_an_encoder_is_its_own(tmp_path):
    config = TextConfig(**FAMILIES["ViT-H"])
    hf_model(config).save_pretrained(tmp_path / "text_encoder_2")
    Tokenizer(pad_token="!").save_pretrained(tmp_path / "tokenizer_2")
    for source, subfolder in (
        (tmp_path, "text_encoder_2"),
        (tmp_path / "text_encoder_2", None),
        (tmp_path / "text_encoder_2" / "model.safetensors", None),
    ):
        encoder = TextEncoder.from_pretrained(source, subfolder=subfolder)
        assert encoder.tokenizer.pad_token_id == 0 and encoder.tokenizer is encoder.tokenizer
    with pytest.raises(ValueError, match="give its own tokenizer"):
        TextEncoder(config_of("ViT-H")).encode(TRICKY)


def test_single_files_have_their_familys_tokenizer(tmp_path):
    config = TextConfig(**FAMILIES["ViT-L"])
    save_file(prefixed(hf_model(config), "cond_stage_model.transformer."), tmp_path / "sd1.safetensors")
    first = TextEncoder.from_pretrained(tmp_path / "sd1.safetensors", heads=3)
    assert first.tokenizer.pad_token_id == 49407 and first.tokenizer.profile == "transformers"
    config = TextConfig(**FAMILIES["bigG"])
    save_file(prefixed(hf_model(config), "text_encoders.clip_g.transformer."), tmp_path / "g.safetensors")
    assert TextEncoder.from_pretrained(tmp_path / "g.safetensors", heads=5).tokenizer.pad_token_id == 0


def test_guesses_are_said(tmp_path):
    model = open_clip_model(config_of("ViT-B"), custom=True)
    path = tmp_path / "x.safetensors"
    save_file(model.state_dict(), path)
    with pytest.warns(UserWarning, match=r'activation="gelu" is a guess.*causal=True is a guess'):
        TextEncoder.from_pretrained(path)
    with pytest.raises(ValueError, match="activation="):
        TextEncoder.from_pretrained(path, strict=True)
    TextEncoder.from_pretrained(path, strict=True, activation="gelu", causal=True)  # and no warning
    shutil.copy(path, tmp_path / "open_clip_model.safetensors")
    description = {"text_cfg": {"width": 64, "heads": 2, "no_causal_mask": True}, "embed_dim": 48}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(description))
    encoder = TextEncoder.from_pretrained(path)  # the configuration beside it decides
    assert encoder.config.activation == "gelu" and not encoder.config.causal
    with pytest.raises(ValueError, match="causal mask"):
        encoder.save_pretrained(tmp_path / "saved")


def test_files_that_open_clip_released_are_known_by_their_hash(tmp_path, monkeypatch):
    import hashlib

    from cliptok.encoder.checkpoints import recognition

    torch.save(dict(open_clip_model(config_of("ViT-B")).state_dict()), tmp_path / "x.pt")
    digits = hashlib.sha256((tmp_path / "x.pt").read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(recognition.ACTIVATION_BY_SHA256, digits, "gelu")
    path = (tmp_path / "x.pt").rename(tmp_path / f"vit-{digits}.pt")
    assert TextEncoder.from_pretrained(path, heads=2, strict=True).config.activation == "gelu"
    with path.open("ab") as file:
        file.write(b"\0")
    with pytest.warns(UserWarning, match="activation="):
        TextEncoder.from_pretrained(path, heads=2)


@pytest.mark.parametrize("vocabulary", [32000, 250100])
def test_other_vocabularies_are_refused(vocabulary):
    tensors = load_named(hf_model(config_of("ViT-B")))
    tensors["text_model.embeddings.token_embedding.weight"] = torch.zeros(vocabulary, 64)
    with pytest.raises(ValueError, match=f"a vocabulary of {vocabulary}, and CLIP's has 49408"):
        TextEncoder.from_pretrained(tensors, heads=2, activation="gelu")


def test_quantized_weights_are_refused():
    tensors = load_named(hf_model(config_of("ViT-B")))
    tensors["text_model.encoder.layers.0.mlp.fc1.weight"] = torch.full((256, 64), 100, dtype=torch.int8)
    with pytest.raises(ValueError, match=r"no dense floating-point numbers.*fc1\.weight \(integers, torch\.int8\)"):
        TextEncoder.from_pretrained(tensors, heads=2, activation="gelu")


def test_verify_says_what_a_file_is(saved, tmp_path, capsys):
    folder = saved()
    found = verify(folder)
    assert found.ok and found.layout == "transformers" and found.config == config_of("ViT-B")
    assert found.reasons["activation"] == "config.json" and found.left_over == () and found.dtypes["float32"] > 40
    assert main(["verify", str(folder)]) == 0
    report = capsys.readouterr().out
    assert "width 64, layers 3, heads 2" in report and "quick_gelu (config.json)" in report
    (folder / "config.json").unlink()
    tensors = load_file(folder / "model.safetensors")
    tensors["text_model.final_layer_norm.bias"][0] = torch.nan
    tensors["text_model.embeddings.position_ids"] = torch.arange(77)
    save_file(tensors, folder / "model.safetensors")
    found = verify(folder / "model.safetensors", heads=2)
    assert found.not_finite == ("text_model.final_layer_norm.bias",) and not found.ok and len(found.guesses) == 1
    assert found.left_over == ("text_model.embeddings.position_ids",)
    assert main(["verify", str(folder / "model.safetensors")]) == 1
    assert main(["verify", str(tmp_path / "nothing.safetensors")]) == 2
