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


SIZES = [("intermediate_size", 128), ("vocab_size", 601), ("hidden_size", 32), ("projection_dim", 32)]


@pytest.mark.parametrize(("name", "value"), SIZES)
def test_other_sizes_must_agree(saved, name, value):
    with pytest.raises(ValueError, match=rf"config\.json says \w+ {value}, but .* has \w+ \d+"):
        TextEncoder.from_pretrained(saved(**{name: value}))


STRANGE = [
    ({"architectures": ["ContextCLIPTextModel"]}, "describes ContextCLIPTextModel .*The library that has the class"),
    ({"model_type": None, "architectures": ["BertModel"]}, "describes BertModel"),
    ({"auto_map": {"AutoModel": "modeling.Model"}}, "code of its own"),
    ({"quantization_config": {"quant_method": "fp8"}}, r"quantized \(fp8\)"),
    ({"hidden_act": "gelu_new"}, "not 'gelu_new'"),
]


@pytest.mark.parametrize(("values", "message"), STRANGE)
def test_configurations_of_other_models_are_refused(saved, values, message):
    with pytest.raises(ValueError, match=message):
        TextEncoder.from_pretrained(saved(**values))


def test_dropout_is_not_passed_over_in_silence(saved):
    with pytest.warns(UserWarning, match=r"attention_dropout 0\.1; there is no dropout here"):
        TextEncoder.from_pretrained(saved(attention_dropout=0.1))


@torch.no_grad()
def test_an_old_whole_clip_that_describes_its_text_twice(tmp_path):
    """`text_config_dict` goes before `text_config`, also in what it leaves out."""
    from transformers import CLIPConfig, CLIPModel

    text = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 2, "num_hidden_layers": 2}
    text = {**text, "hidden_act": "gelu", "projection_dim": 32}
    vision = {**text, "image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"].update(hidden_act="quick_gelu", layer_norm_eps=0.1)
    config["text_config_dict"] = text
    (tmp_path / "config.json").write_text(json.dumps(config))
    reference, encoder = CLIPModel.from_pretrained(tmp_path).eval(), TextEncoder.from_pretrained(tmp_path)
    ids = Tokenizer()(TRICKY, padding=True, return_tensors="pt").input_ids
    assert relative(encoder(ids).last_hidden_state, reference.text_model(ids).last_hidden_state) < 1e-6
    config["text_config_dict"].pop("intermediate_size")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="says mlp 2048"):
        TextEncoder.from_pretrained(tmp_path)


UNKNOWN = [
    ({"tokenizer_kwargs": {"clean": "canonicalize"}}, {}, "tokenizer_kwargs="),
    ({"act_layer": "relu"}, {}, "act_layer=relu"),
    ({"pos_embed_type": "sinusoidal"}, {}, "pos_embed_type="),
    ({"norm_kwargs": {"bias": False}}, {}, "norm_kwargs="),
    ({"text_mask": "syntax"}, {}, "text_mask=syntax"),
    ({}, {"clstext_cfg": {"layers": 1}}, "clstext_cfg"),
    ({"mlp_ratio": 2.0}, {}, "says mlp 128"),
    ({"layers": 2}, {}, "says layers 2, but .* has layers 3"),
    ({}, {"embed_dim": 64}, "says projection 64"),
]


@pytest.mark.parametrize(("text", "model", "message"), UNKNOWN)
def test_open_clip_options_that_are_not_known_are_refused(tmp_path, text, model, message):
    """Those of its newer versions too: TIPSv2's, SuperCLIP's and the inverse scaling law's are here."""
    tower = open_clip_model(TextConfig(**FAMILIES["ViT-B"]))
    save_file(tower.state_dict(), tmp_path / "open_clip_model.safetensors")
    known = {"width": 64, "heads": 2, "layers": 3}
    description = {"embed_dim": 48, "vision_cfg": {}, **model, "text_cfg": {**known, **text}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": description}))
    with pytest.raises(ValueError, match=message):
        TextEncoder.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["CLIPTextModelWithProjection", "ContextCLIPTextModel"])
def test_the_class_in_a_pipeline_goes_before_the_configurations(tmp_path, name):
    """SDXL's second encoder in a folder that says CLIPTextModel: without `text_embeds` its images would be others."""
    hf_model(config_of("bigG")).save_pretrained(tmp_path / "text_encoder_2")
    path = tmp_path / "text_encoder_2" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": ["CLIPTextModel"]}))
    (tmp_path / "model_index.json").write_text(json.dumps({"text_encoder_2": ["transformers", name]}))
    if name == "ContextCLIPTextModel":
        with pytest.raises(ValueError, match=r"transformers\.ContextCLIPTextModel for text_encoder_2"):
            TextEncoder.from_pretrained(tmp_path, subfolder="text_encoder_2")
    else:
        encoder = TextEncoder.from_pretrained(tmp_path, subfolder="text_encoder_2")
        assert "text_embeds" in encoder(torch.tensor([[598, 3, 599]]))


@pytest.mark.parametrize("kind", ["XLMRobertaTokenizer", "GPT2Tokenizer", "sentencepiece"])
def test_another_tokenizer_beside_an_encoder_is_refused(saved, kind):
    folder = saved()
    if kind == "sentencepiece":
        (folder / "sentencepiece.bpe.model").write_bytes(b"x")
    else:
        Tokenizer().save_pretrained(folder)
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "tokenizer_class": kind}))
    encoder = TextEncoder.from_pretrained(folder)  # what it computes of ids is right
    with pytest.raises((ValueError, FileNotFoundError), match=kind):
        encoder.encode(TRICKY)


def test_other_libraries_tokenizers_are_named(saved):
    encoder = TextEncoder.from_pretrained(saved())
    with pytest.raises(TypeError, match="tokenizer is of type CLIPTokenizer; expected a cliptok"):
        encoder.encode(TRICKY, Tokenizer().as_transformers())


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
