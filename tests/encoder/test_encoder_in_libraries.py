"""Where people put an encoder: diffusers' save, load and LoRA, accelerate's offload, peft, casting between layers."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from test_encoder_stable_diffusion import diffusers, images, sd, sdxl

from cliptok import Tokenizer
from cliptok.encoder import TextEncoder
from support.towers import FAMILIES, config_of, hf_model, load_named, random_rows, relative

peft = pytest.importorskip("peft")
assert sd and sdxl  # fixtures


def ours_in(folder, kind=diffusers.StableDiffusionPipeline):
    pipe = kind.from_pretrained(folder)
    pipe.text_encoder = TextEncoder.from_pretrained(folder, subfolder="text_encoder")
    if hasattr(pipe, "text_encoder_2"):
        pipe.text_encoder_2 = TextEncoder.from_pretrained(folder, subfolder="text_encoder_2")
    return pipe


@pytest.mark.parametrize("which", ["sd", "sdxl"])
def test_a_pipeline_saves_our_encoders_and_plain_diffusers_loads_them(which, request, tmp_path):
    reference, folder = request.getfixturevalue(which)
    pipe = ours_in(folder, type(reference))
    with torch.no_grad():  # as after training
        for name in ("text_encoder", "text_encoder_2"):
            if hasattr(pipe, name):
                getattr(pipe, name).final_layer_norm.bias.add_(0.5)
    expected = images(pipe)
    assert np.abs(expected - images(reference)).max() > 1e-3
    pipe.save_pretrained(tmp_path / "saved")
    index = json.loads((tmp_path / "saved/model_index.json").read_text())
    assert index["text_encoder"] == ["transformers", "CLIPTextModel"]
    loaded = type(reference).from_pretrained(tmp_path / "saved")
    assert not isinstance(loaded.text_encoder, TextEncoder)
    np.testing.assert_allclose(images(loaded), expected, atol=2e-6)
    np.testing.assert_allclose(images(ours_in(tmp_path / "saved", type(reference))), expected, atol=2e-6)


def test_from_pretrained_takes_our_encoder(sd):
    reference, folder = sd
    encoder = TextEncoder.from_pretrained(folder, subfolder="text_encoder", torch_dtype=torch.float32)
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, text_encoder=encoder)
    assert pipe.text_encoder is encoder
    np.testing.assert_allclose(images(pipe), images(reference), atol=2e-6)


def lora(folder, prefix: str, kind):
    """A LoRA file for the text encoders, trained on transformers' own."""
    from diffusers.utils import convert_state_dict_to_diffusers

    pipe, layers = kind.from_pretrained(folder), {}
    for name in ("text_encoder", "text_encoder_2"):
        if not hasattr(pipe, name):
            continue
        torch.manual_seed(len(name))
        targets = ["q_proj", "v_proj", "fc1"]
        getattr(pipe, name).add_adapter(peft.LoraConfig(r=4, target_modules=targets, init_lora_weights=False))
        found = convert_state_dict_to_diffusers(peft.get_peft_model_state_dict(getattr(pipe, name)))
        layers[f"{name}_lora_layers"] = {
            key if key.startswith("text_model.") else prefix + key: value for key, value in found.items()
        }
    return layers


@pytest.mark.parametrize("which", ["sd", "sdxl"])
@pytest.mark.parametrize("prefix", ["", "text_model."])
def test_lora_with_text_encoder_keys(which, prefix, request, tmp_path):
    reference, folder = request.getfixturevalue(which)
    kind = type(reference)
    kind.save_lora_weights(tmp_path, **lora(folder, prefix, kind))
    theirs, ours = kind.from_pretrained(folder), ours_in(folder, kind)
    plain = images(theirs)
    for pipe in (theirs, ours):
        pipe.load_lora_weights(tmp_path, adapter_name="a")
    expected = images(theirs)
    assert np.abs(expected - plain).max() > 1e-3
    np.testing.assert_allclose(images(ours), expected, atol=2e-6)
    encoder = ours.text_encoder
    forward = encoder(encoder.tokenizer(["a cat"], return_tensors="pt").input_ids).pooler_output
    assert relative(encoder.encode(["a cat"]), forward.detach()) < 2e-6
    with pytest.raises(ValueError, match="merge adapters"):
        encoder.save_pretrained(tmp_path / "merged")
    for pipe in (theirs, ours):
        pipe.set_adapters("a", 0.5)
    np.testing.assert_allclose(images(ours), images(theirs), atol=2e-6)
    for pipe in (theirs, ours):
        pipe.unload_lora_weights()
    np.testing.assert_allclose(images(ours), plain, atol=2e-6)


@pytest.mark.parametrize("family", ["ViT-B", "ViT-L"])
def test_peft_adapters_of_transformers_apply(tmp_path, family):
    config = config_of(family)
    base = peft.get_peft_model(
        hf_model(config), peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    )
    base.eval().save_pretrained(tmp_path)
    ids = random_rows(config)
    encoder = TextEncoder(config).eval()
    encoder.load_state_dict(load_named(hf_model(config)))
    adapted = peft.PeftModel.from_pretrained(encoder, tmp_path).eval()
    with torch.no_grad():
        theirs, mine = base(input_ids=ids), adapted(input_ids=ids)
        assert relative(mine.last_hidden_state, theirs.last_hidden_state) < 1e-6
        merged = adapted.merge_and_unload()
        assert type(merged) is type(TextEncoder(config))
        assert relative(merged(ids).last_hidden_state, theirs.last_hidden_state) < 1e-5


def test_peft_for_feature_extraction():
    config = config_of("ViT-L")
    settings = peft.LoraConfig(task_type=peft.TaskType.FEATURE_EXTRACTION, r=2, target_modules=["q_proj", "v_proj"])
    model = peft.get_peft_model(TextEncoder(config), settings)
    ids = random_rows(config)
    model(input_ids=ids, attention_mask=torch.ones_like(ids)).pooler_output.sum().backward()
    trained = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert trained and all("lora_" in name for name in trained)


@pytest.mark.parametrize("family", ["ViT-B", "ViT-L"])
@pytest.mark.parametrize("how", ["cpu_offload", "disk_offload", "layerwise", "group"])
@torch.no_grad()
def test_weights_that_are_elsewhere(tmp_path, family, how):
    """accelerate moves them in for each layer, diffusers casts or moves them: forward and encode go along."""
    config = config_of(family)
    encoder = TextEncoder(config).eval()
    moved = copy.deepcopy(encoder)
    if how == "layerwise":
        from diffusers.hooks import apply_layerwise_casting

        apply_layerwise_casting(moved, storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
        for name, parameter in encoder.named_parameters():
            if "norm" not in name:
                parameter.copy_(parameter.bfloat16())
    elif how == "group":
        from diffusers.hooks import apply_group_offloading

        apply_group_offloading(moved, torch.device("cpu"), torch.device("cpu"), offload_type="leaf_level")
    else:
        import accelerate

        more = {"offload_dir": tmp_path} if how == "disk_offload" else {}
        getattr(accelerate, how)(moved, execution_device=torch.device("cpu"), **more)
    ids = random_rows(config)
    name = "pooler_output" if config.projection is None else "text_embeds"
    expected = encoder(ids)[name]
    assert relative(moved(ids)[name], expected) < 1e-6
    rows = [row[: int((row == config.end_id).int().argmax()) + 1].tolist() for row in ids]

    class Packed:
        input_ids = np.concatenate(rows)
        offsets = np.cumsum([0, *map(len, rows)])

    assert relative(moved.encode(Packed), expected) < 2e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_is_an_instance_of_transformers_class(family):
    import transformers

    config = config_of(family)
    encoder = TextEncoder(config)
    kind = transformers.CLIPTextModel if config.projection is None else transformers.CLIPTextModelWithProjection
    assert isinstance(encoder, kind) and isinstance(encoder, TextEncoder) and repr(encoder).startswith("TextEncoder(")
    assert encoder.as_transformers() is encoder and encoder.config.to_dict()["hidden_size"] == config.width
    for same in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert type(same) is type(encoder)
        assert all(torch.equal(a, b) for a, b in zip(same.parameters(), encoder.parameters(), strict=True))
    encoder.gradient_checkpointing_enable()
    assert encoder.is_gradient_checkpointing and encoder.text_model.gradient_checkpointing
    encoder.gradient_checkpointing_disable()
    assert not encoder.is_gradient_checkpointing


def test_long_prompts_in_chunks(sd):
    """The code that is copied widely: hidden states of each 77 ids, most of them without an end of text."""
    reference, folder = sd
    encoder = TextEncoder.from_pretrained(folder, subfolder="text_encoder")
    ids = Tokenizer()(["a photo " * 100], return_tensors="pt").input_ids
    with torch.no_grad():
        for start in range(0, ids.shape[1], 77):
            chunk = ids[:, start : start + 77]
            assert relative(encoder(chunk)[0], reference.text_encoder(chunk)[0]) < 1e-6
