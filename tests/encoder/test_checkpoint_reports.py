"""What a configuration means, key by key, and what is said of a checkpoint, word for word."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file

from cliptok.encoder import TextConfig, TextEncoder, verify
from cliptok.encoder.checkpoints.configurations import Configuration, read_configuration

SMALL = TextConfig(width=64, layers=2, heads=1, mlp=128, positions=8, vocabulary=600, projection=32)
OPEN_CLIP = TextConfig(activation="gelu", pad_id=0, projection=512, architecture="CLIPModel")
ALL_OF_OPEN_CLIP = {
    "width": 64,
    "heads": 4,
    "layers": 3,
    "vocab_size": 600,
    "context_length": 9,
    "mlp_ratio": 2.5,
    "pad_id": 5,
    "embed_cls": True,
    "no_causal_mask": True,
    "pool_type": "eos",
    "eos_id": 49407,
    "proj_type": "linear",
    "norm_kwargs": {"eps": 1e-6},
    "output_tokens": True,
    "act_kwargs": {},
    "ls_init_value": None,
}


@pytest.fixture
def written(tmp_path):
    """A function that writes a configuration."""

    def write(content, name="open_clip_config.json"):
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("model", "config", "stated", "projection"),
    [
        ({"text_cfg": {}}, OPEN_CLIP, {}, True),
        ({"text_cfg": {"proj_type": "none"}}, dataclasses.replace(OPEN_CLIP, projection=None), {}, False),
        (
            {"text_cfg": ALL_OF_OPEN_CLIP, "embed_dim": 32, "quick_gelu": True, "vision_cfg": {}, "custom_text": None},
            TextConfig(
                width=64,
                layers=3,
                heads=4,
                mlp=160,
                activation="quick_gelu",
                positions=10,
                vocabulary=600,
                projection=32,
                layer_norm_eps=1e-6,
                pad_id=5,
                causal=False,
                class_token=True,
                architecture="CLIPModel",
            ),
            {"width": 64, "layers": 3, "vocabulary": 600, "positions": 10, "mlp": 160, "projection": 32},
            True,
        ),
        (
            {"text_cfg": {"proj_type": "none", "layers": 2}, "embed_dim": 32},
            dataclasses.replace(OPEN_CLIP, layers=2, projection=None),
            {"layers": 2},
            False,
        ),
    ],
)
def test_open_clips(written, model, config, stated, projection):
    path = written(model)
    assert read_configuration(path) == Configuration(path, config, stated, projection, "open_clip")
    path = written({"model_cfg": model}, "config.json")
    assert read_configuration(path) == Configuration(path, config, stated, projection, "open_clip")


FOREIGN = [
    ({"text_cfg": {"ls_init_value": 0.0}}, "a text tower with ls_init_value=0.0, which"),
    ({"text_cfg": {"qk_norm": True, "act_kwargs": {}}}, "a text tower with qk_norm=True, which"),
    ({"text_cfg": {}, "new": 0}, "a text tower with new, which"),
    ({"text_cfg": {"norm_kwargs": {"bias": 1, "eps": 1}}}, "a text tower with norm_kwargs={'bias': 1}, which"),
    ({"text_cfg": {"pool_type": "last", "proj_type": "mlp"}}, "a text tower with pool_type=last, proj_type=mlp, which"),
    ({"text_cfg": {"pool_type": "eos", "eos_id": 49406}}, "a text tower with pool_type=eos, which"),
    ({"text_cfg": {"pool_type": "eos"}}, "a text tower with pool_type=eos, which"),
    ({"text_cfg": {"hf_model_name": "b"}}, "a text tower of b, which"),
    ({"text_cfg": {"hf_tokenizer_name": "b"}}, "a text tower with the tokenizer of b, which"),
]


@pytest.mark.parametrize(("model", "what"), FOREIGN)
def test_other_towers_of_open_clip_are_named(written, model, what):
    path = written(model)
    with pytest.raises(ValueError, match="describes") as error:
        read_configuration(path)
    assert str(error.value) == f"{path} describes {what} is no CLIP tower; open_clip computes it"


WRONG = [
    ({"model_cfg": 1}, "model_cfg is of type int; expected dict"),
    ({"text_cfg": 1}, "text_cfg is of type int; expected dict"),
    ({"text_cfg": None}, "text_cfg is null; expected dict"),
    *(({"text_cfg": {name: "x"}}, f"{name} is of type str; expected int") for name in ("width", "heads", "layers")),
    *(({"text_cfg": {name: None}}, f"{name} is null; expected int") for name in ("vocab_size", "context_length")),
    ({"text_cfg": {"pad_id": True}}, "pad_id is of type bool; expected int"),
    ({"text_cfg": {}, "embed_dim": 1.5}, "embed_dim is of type float; expected int"),
    ({"text_cfg": {"mlp_ratio": "4"}}, "mlp_ratio is of type str; expected int or float"),
    ({"text_cfg": {"norm_kwargs": 1}}, "norm_kwargs is of type int; expected dict"),
    *(({"text_cfg": {name: 1}}, f"{name} is of type int; expected bool") for name in ("embed_cls", "no_causal_mask")),
    ({"text_cfg": {}, "quick_gelu": 1}, "quick_gelu is of type int; expected bool"),
    ({"text_cfg": {"hf_model_name": 1}}, "hf_model_name is of type int; expected str"),
    ({"hidden_size": 64, "architectures": 1}, "architectures is of type int; expected list"),
    ({"hidden_size": 64, "architectures": [1]}, "architectures[0] is of type int; expected str"),
    ({"hidden_size": 64, "model_type": 1}, "model_type is of type int; expected str"),
    ({"hidden_size": 64, "quantization_config": 1}, "quantization_config is of type int; expected dict"),
    ({"hidden_size": 64, "attention_dropout": "0"}, "attention_dropout is of type str; expected int or float"),
    ({"hidden_size": 64, "attention_dropout": -0.1}, "attention_dropout is -0.1; expected 0 to 1"),
    ({"hidden_size": 64, "attention_dropout": 1.1}, "attention_dropout is 1.1; expected 0 to 1"),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_values_of_another_type_are_named(written, content, message):
    path = written(content, "config.json")
    with pytest.raises(ValueError, match="expected") as error:
        read_configuration(path)
    assert str(error.value) == f"{path}: {message}"


SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 128}
HF = TextConfig(width=64, layers=2, heads=1, mlp=128)
STATED = {"width": 64, "layers": 2, "mlp": 128, "positions": 77, "vocabulary": 49408}
OF_TRANSFORMERS = [
    (SIZES, HF, STATED, None),
    ({**SIZES, "architectures": [], "attention_dropout": None, "quantization_config": {}}, HF, STATED, None),
    ({**SIZES, "architectures": ["CLIPTextModel"], "projection_dim": 32}, 32, STATED, False),
    ({**SIZES, "architectures": ["CLIPTextModelWithProjection"]}, None, STATED, True),
    (
        {**SIZES, "architectures": ["CLIPTextModelWithProjection"], "projection_dim": 32},
        32,
        {**STATED, "projection": 32},
        True,
    ),
    ({"model_type": "clip_vision_model", "hidden_size": 64, "architectures": ["CLIPVisionModel"]}, "none", {}, None),
    ({"_class_name": "StableDiffusionPipeline", "model_type": "other"}, "none", {}, None),
    ({"model_type": "clip"}, "none", {}, None),
]


@pytest.mark.parametrize(("content", "config", "stated", "projection"), OF_TRANSFORMERS)
def test_transformers(written, content, config, stated, projection):
    path = written(content, "config.json")
    if config == "none":
        assert read_configuration(path) is None
    else:
        config = config if isinstance(config, TextConfig) else dataclasses.replace(HF, projection=config)
        assert read_configuration(path) == Configuration(path, config, stated, projection, "transformers")


def test_whole_clips_of_transformers(written):
    whole = {"text_config": {**SIZES, "projection_dim": 32}, "projection_dim": 32, "architectures": ["CLIPModel"]}
    config = dataclasses.replace(HF, projection=32, architecture="CLIPModel")
    path = written(whole, "config.json")
    expected = Configuration(path, config, {**STATED, "projection": 32}, True, "transformers")
    assert read_configuration(path) == expected
    own = {**SIZES, "projection_dim": 32, "cliptok_architecture": "CLIPModel"}
    assert read_configuration(written(own, "config.json")) == Configuration(path, config, STATED, None, "transformers")


OTHERS = [
    (
        {"model_type": "siglip_text_model", "architectures": ["SiglipTextModel"]},
        "describes SiglipTextModel (model_type 'siglip_text_model'), which is no CLIP text tower: its tokenizer, "
        "attention, pooling or projection is another. transformers' SiglipTextModel computes it",
    ),
    (
        {"model_type": "bert"},
        "describes bert (model_type 'bert'), which is no CLIP text tower: its tokenizer, attention, pooling or "
        "projection is another. transformers' AutoModel computes it",
    ),
    (
        {"architectures": ["AltCLIP"]},
        "describes AltCLIP (model_type None), which is no CLIP text tower: its tokenizer, attention, pooling or "
        "projection is another. The library that has the class AltCLIP computes it",
    ),
    (
        {**SIZES, "auto_map": {}},
        "names code of its own (auto_map), which is never run; what it computes is not known",
    ),
    (
        {**SIZES, "quantization_config": {"bits": 4}},
        "says that the weights are quantized (an unknown method); load the original, or dequantize them",
    ),
]


@pytest.mark.parametrize(("content", "message"), OTHERS)
def test_other_models_of_transformers_are_named(written, content, message):
    path = written(content, "config.json")
    with pytest.raises(ValueError, match=path.name) as error:
        read_configuration(path)
    assert str(error.value) == f"{path} {message}"


@pytest.fixture
def weights():
    """A small encoder's weights."""
    torch.manual_seed(0)
    return TextEncoder(SMALL).state_dict()


def openai(weights, prefix=""):
    """The same weights by OpenAI's names, queries, keys and values in one tensor."""
    renamed = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    renamed |= {"self_attn.out_proj": "attn.out_proj", "encoder.layers": "transformer.resblocks"}
    renamed |= {"embeddings.token_": "token_", "final_layer_norm": "ln_final", "text_model.": ""}
    found = {}
    for whole, value in weights.items():
        name = whole
        for theirs, ours in renamed.items():
            name = name.replace(theirs, ours)
        if "q_proj" in name:
            parts = [weights[whole.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
            found[prefix + name.replace("self_attn.q_proj.", "attn.in_proj_")] = torch.cat(parts)
        elif "position_embedding" in name:
            found[prefix + "positional_embedding"] = value
        elif name == "text_projection.weight":
            found[prefix + "text_projection"] = value.t().contiguous()
        elif "k_proj" not in name and "v_proj" not in name:
            found[prefix + name] = value
    return found


GUESS = (
    'the state dict has no configuration that decides: activation="quick_gelu" is a guess, and so are heads 64 wide; '
    "pass activation= (and heads)"
)


def test_a_guess_is_warned_of_or_refused(weights):
    with pytest.warns(UserWarning, match="guess") as caught:
        TextEncoder.from_pretrained(weights)
    assert {str(warning.message) for warning in caught} == {GUESS}
    with pytest.raises(ValueError, match="guess") as error:
        TextEncoder.from_pretrained(weights, strict=True)
    assert str(error.value) == GUESS


def test_dropout_is_warned_of(tmp_path):
    with pytest.warns(UserWarning, match="dropout") as caught:
        TextEncoder.from_pretrained(dropping(tmp_path))
    message = f"{tmp_path / 'config.json'} has attention_dropout 0.25; there is no dropout here, in training either"
    assert {str(warning.message) for warning in caught} == {message}


def dropping(folder):
    TextEncoder(SMALL).save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "attention_dropout": 0.25}))
    return folder


def test_warnings_are_where_the_caller_is(weights, tmp_path):
    for source in (weights, dropping(tmp_path)):
        with pytest.warns(UserWarning, match="guess|dropout") as caught:
            TextEncoder.from_pretrained(source)
        assert {warning.filename for warning in caught} == {__file__}


SIZES_SAID = "sizes       width 64, layers 2, heads 1, mlp 128, positions 8, vocabulary 600, projection 32"


def test_the_report_of_a_folder(tmp_path):
    TextEncoder(SMALL).save_pretrained(tmp_path)
    assert str(verify(tmp_path)).splitlines() == [
        f"file        {tmp_path}/model.safetensors",
        "layout      transformers",
        SIZES_SAID,
        "activation  quick_gelu (config.json)",
        "attention   causal (config.json)",
        "ids         start 598, end 599, padding 49407",
        "tokenizer   the profile transformers",
        "outputs     as CLIPTextModelWithProjection",
        "dtypes      37 of float32",
        "not finite  none",
        "left over   none",
        "guesses     none",
    ]
    assert verify(tmp_path).ok


@pytest.mark.parametrize(("more", "listed"), [(8, ""), (9, " ...")])
def test_the_report_of_a_file_by_rule(weights, tmp_path, more, listed):
    weights["text_model.final_layer_norm.bias"][3] = torch.nan
    weights["text_projection.weight"][3] = torch.inf
    extra = {f"text_model.part{i}.logit_scale": torch.zeros(1) for i in range(more)}
    save_file({**weights, **extra}, tmp_path / "one.safetensors")
    found = verify(tmp_path / "one.safetensors", causal=False)
    assert str(found).splitlines() == [
        f"file        {tmp_path}/one.safetensors",
        "layout      transformers",
        SIZES_SAID,
        "activation  quick_gelu (a guess)",
        "attention   in both directions (the argument)",
        "ids         start 598, end 599, padding 49407",
        "tokenizer   the profile transformers",
        "outputs     as CLIPTextModelWithProjection",
        "dtypes      37 of float32",
        "not finite  text_model.final_layer_norm.bias, text_projection.weight",
        "left over   " + ", ".join(f"text_model.part{i}.logit_scale" for i in range(8)) + listed,
        'guesses     activation="quick_gelu" is a guess, and so are heads 64 wide; pass activation= (and heads)',
    ]
    assert not found.ok


@pytest.mark.parametrize("vocabulary", [600, 30000])
def test_a_class_token_is_known_by_its_tensor(weights, vocabulary):
    table = "text_model.embeddings.token_embedding.weight"
    weights[table] = torch.zeros(vocabulary, 64)
    weights = {**openai(weights, "text."), "text.cls_emb": torch.zeros(64)}
    found = verify(weights)
    assert (found.config.class_token, found.config.vocabulary, found.layout) == (True, vocabulary, "open_clip")
    assert "attention   causal, with a class token (a guess)" in str(found)
    assert found.guesses == (
        'activation="gelu" is a guess, and so are heads 64 wide; pass activation= (and heads)',
        "causal=True is a guess, since some MobileCLIPs have no causal mask; pass causal=",
    )


PREFIXES = [
    # prefix, layout, activation and how it is known, padding, outputs, layers, projection
    ("", "open_clip", "quick_gelu", "a guess", 0, "CLIPModel", 2, 32),
    ("text.", "open_clip", "gelu", "a guess", 0, "CLIPModel", 2, 32),
    (
        "cond_stage_model.model.",
        "stable diffusion",
        "gelu",
        "the layout of Stable Diffusion",
        0,
        "CLIPTextModel",
        1,
        None,
    ),
    *(
        (
            prefix,
            "stable diffusion",
            activation,
            "the layout of Stable Diffusion",
            pad,
            "CLIPTextModelWithProjection",
            2,
            32,
        )
        for prefix, activation, pad in (("conditioner.embedders.1.model.", "gelu", 0), ("clip_l.", "quick_gelu", 49407))
    ),
]


@pytest.mark.parametrize(("prefix", "layout", "activation", "how", "pad", "outputs", "layers", "projection"), PREFIXES)
def test_what_prefixes_say(weights, prefix, layout, activation, how, pad, outputs, layers, projection):
    found = verify(openai(weights, prefix))
    config = found.config
    assert (found.layout, config.activation, config.pad_id) == (layout, activation, pad)
    assert (config.architecture, config.layers, config.projection) == (outputs, layers, projection)
    assert found.reasons["activation"] == how


def test_whole_clips_and_longclips(weights):
    found = verify({**openai(weights), "visual.proj": torch.zeros(2, 2)})
    assert found.config.architecture == "CLIPModel"
    found = verify({**openai(weights), "positional_embedding_res": torch.zeros(8, 64)})
    assert (found.layout, found.config.activation, found.config.pad_id) == ("longclip", "quick_gelu", 0)
    assert found.reasons["activation"] == "the layout of LongCLIP, which is OpenAI's"
    assert found.tokenizer == "the profile openai"


def test_openais_names_hold_the_same_weights(weights):
    expected = TextEncoder.from_pretrained(weights, activation="gelu")
    encoder = TextEncoder.from_pretrained(openai(weights), activation="gelu")
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, expected.state_dict()[name]), name


@pytest.mark.parametrize("call", [TextEncoder.from_pretrained, verify])
def test_options_reach_the_hub(call, monkeypatch):
    asked = {}

    def hub_model(name, what, **options):
        asked.update(options, name=name, what=what)
        raise FileNotFoundError

    monkeypatch.setattr("cliptok.encoder.checkpoints.folders.hub_model", hub_model)
    options = {"revision": "r", "cache_dir": "c", "token": "t"} if call is not verify else {}
    with pytest.raises(FileNotFoundError):
        call("owner/name", local_files_only=True, **options)
    expected = {"revision": None, "cache_dir": None, "token": None, **options, "local_files_only": True}
    assert asked == {"name": "owner/name", "what": "a checkpoint's file, its folder or a hub name", **expected}
