"""Files that are damaged, foreign or hostile: refused, with what is wrong named."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cliptok.encoder import TextEncoder
from support.towers import (
    config_of,
    hf_model,
    load_named,
    open_clip_model,
)


def test_archive_that_asks_for_other_classes_is_refused(tmp_path):

    class Attack:
        def __reduce__(self):
            return (eval, ("1",))

    with zipfile.ZipFile(tmp_path / "bad.pt", "w") as archive:
        archive.writestr("bad/data.pkl", pickle.dumps({"token_embedding.weight": Attack()}))
        archive.writestr("bad/constants.pkl", b"")
    with pytest.raises(ValueError, match=r"refused: it asks for builtins\.eval"):
        TextEncoder.from_pretrained(tmp_path / "bad.pt")


@pytest.mark.parametrize("layout", ["transformers", "open_clip"])
@pytest.mark.parametrize("damage", ["missing", "extra", "shape", "nan", "gap"])
def test_bad_tensors_are_named(tmp_path, layout, damage):
    config = config_of("ViT-B")
    if layout == "transformers":
        tensors = load_named(hf_model(config))
        victim, block = "text_model.encoder.layers.1.mlp.fc2.bias", "text_model.encoder.layers.1."
    else:
        tensors = dict(open_clip_model(config).state_dict())
        victim, block = "transformer.resblocks.1.mlp.c_proj.bias", "transformer.resblocks.1."
    named = victim
    if damage == "missing":
        del tensors[victim]
    elif damage == "extra":
        named = block + "attn.relative_bias"
        tensors[named] = torch.zeros(1)
    elif damage == "shape":
        tensors[victim] = torch.zeros(config.width + 1)
    elif damage == "nan":
        tensors[victim] = torch.full((config.width,), torch.nan)
    else:
        tensors = {name: value for name, value in tensors.items() if not name.startswith(block)}
        named = block
    save_file({name: value.contiguous() for name, value in tensors.items()}, tmp_path / "bad.safetensors")
    with pytest.raises(ValueError, match=r"bad\.safetensors") as caught:
        TextEncoder.from_pretrained(tmp_path / "bad.safetensors", heads=config.heads, activation="gelu")
    assert named in str(caught.value)


def test_overflow_in_half_precision_is_named(tmp_path):
    config = config_of("ViT-L")
    tensors = load_named(hf_model(config))
    tensors["text_model.final_layer_norm.weight"][0] = 1e6
    save_file(tensors, tmp_path / "big.safetensors")
    with pytest.raises(ValueError, match=r"not finite in torch.float16, in text_model.final_layer_norm.weight"):
        TextEncoder.from_pretrained(tmp_path / "big.safetensors", heads=3, activation="gelu", dtype=torch.float16)


def test_truncated_files_are_refused(tmp_path):
    config = config_of("ViT-L")
    model = hf_model(config)
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    last = max(load_file(path), key=lambda name: whole.index(f'"{name}"'.encode()))
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="cut short: ") as caught:
        TextEncoder.from_pretrained(tmp_path)
    assert last in str(caught.value)
    torch.save(load_named(model), tmp_path / "model.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "model.pt").read_bytes()[:-1000])
    with pytest.raises(ValueError, match="cut short or damaged"):
        TextEncoder.from_pretrained(tmp_path / "cut.pt")


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path):
    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": {"x": torch.zeros(1)}, "callbacks": Attack()}, tmp_path / "bad.ckpt")
    with pytest.raises(ValueError, match="wants to run code"):
        TextEncoder.from_pretrained(tmp_path / "bad.ckpt")
    assert not (tmp_path / "ran").exists()


def test_missing_shard_and_foreign_file_are_named(tmp_path):
    config = config_of("ViT-L")
    hf_model(config).save_pretrained(tmp_path, max_shard_size="300KB")
    shard = sorted(tmp_path.glob("*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(ValueError, match=f"{shard.name}, which is missing; it holds .*embedding"):
        TextEncoder.from_pretrained(tmp_path)
    save_file({"unet.weight": torch.zeros(1)}, tmp_path / "unet.safetensors")
    with pytest.raises(ValueError, match="holds no CLIP text tower"):
        TextEncoder.from_pretrained(tmp_path / "unet.safetensors")
    for name, ours in (("device_map", "device="), ("hidden_act", "activation="), ("nonsense", "no argument nonsense")):
        with pytest.raises(TypeError, match=ours):
            TextEncoder.from_pretrained(tmp_path / "unet.safetensors", **{name: "auto"})


@pytest.mark.parametrize(
    "option",
    [
        {"proj_bias": True},
        {"hf_tokenizer_name": "bert-base"},
        {"pool_type": "last"},
        {"hf_model_name": "roberta-base"},
        {"attention_mask": False},
        {"ls_init_value": 0.0},
    ],
)
def test_open_clips_other_towers_are_refused(tmp_path, option):
    """Their tensors may have the same names: only the configuration tells that they compute something else."""
    model = open_clip_model(config_of("ViT-B"))
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    description = {"model_cfg": {"text_cfg": {"width": 64, "heads": 2, **option}}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=f"{next(iter(option.values()))}.*which is no CLIP tower"):
        TextEncoder.from_pretrained(tmp_path)


def test_a_projection_with_a_bias_is_named():
    tensors = load_named(hf_model(config_of("ViT-B")))
    tensors["text_projection.bias"] = torch.zeros(48)
    with pytest.raises(ValueError, match=r"unknown: text_projection\.bias"):
        TextEncoder.from_pretrained(tensors, heads=2)
