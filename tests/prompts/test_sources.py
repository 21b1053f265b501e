"""Conditioners from everywhere that people have encoders: single files, folders of every family, hub names."""

import json

import pytest
import torch
from safetensors.torch import save_file

from cliptok import TextEncoder, Tokenizer
from cliptok.encoder import TextConfig
from cliptok.prompts import Conditioner
from integrations.test_hub_names import asked_of, hub
from support.towers import hf_model, open_clip_model, open_clip_text, prefixed

__all__ = ["hub"]  # a fixture

PROMPTS = ["a photo of a cat", "two dogs!"]
L = TextConfig(width=64, layers=3, heads=1, mlp=128, projection=None, activation="quick_gelu")
G = TextConfig(width=128, layers=4, heads=2, mlp=256, projection=128, activation="gelu", pad_id=0)


def states(model, pad, layer):
    """transformers' hidden states and pooled outputs of the prompts."""
    preset = Tokenizer.from_preset({49407: "sdxl", 0: "sdxl-2"}[pad])
    ids = torch.from_numpy(preset.encode_batch(PROMPTS, max_length=77)).long()
    with torch.no_grad():
        found = model(ids, output_hidden_states=True)
    return found.hidden_states[layer], found


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_file_of_sd1(tmp_path):
    model = hf_model(L)
    save_file(prefixed(model, "cond_stage_model.transformer."), tmp_path / "sd1.safetensors")
    cond = Conditioner.from_pretrained(tmp_path / "sd1.safetensors", dialect="diffusers")
    assert cond.family.name == "sd1"
    close(cond(PROMPTS, negative=False).prompt_embeds, states(model, 49407, -1)[1].last_hidden_state)


def test_a_file_of_sd2(tmp_path):
    config = TextConfig(width=128, layers=4, heads=2, mlp=256, projection=None, activation="gelu", pad_id=0)
    model = open_clip_model(config)
    save_file(open_clip_text(model, "cond_stage_model.model."), tmp_path / "sd2.safetensors")
    cond = Conditioner.from_pretrained(tmp_path / "sd2.safetensors", dialect="diffusers")
    assert cond.family.name == "sd2" and cond.roles[0].tokenizer.pad == 0
    ids = torch.from_numpy(Tokenizer.from_preset("sd2").encode_batch(PROMPTS, max_length=77)).long()
    with torch.no_grad():
        theirs = model.forward_intermediates(text=ids, text_indices=[config.layers - 2], normalize_intermediates=True)
    close(cond(PROMPTS, negative=False).prompt_embeds, theirs["text_intermediates"][0])


def test_files_of_sdxl_and_its_refiner(tmp_path):
    one, two = hf_model(L), open_clip_model(G)
    second = open_clip_text(two, "conditioner.embedders.1.model.")
    save_file({**prefixed(one, "conditioner.embedders.0.transformer."), **second}, tmp_path / "xl.safetensors")
    save_file(open_clip_text(two, "conditioner.embedders.0.model."), tmp_path / "refiner.safetensors")
    base = Conditioner.from_pretrained(tmp_path / "xl.safetensors", dialect="diffusers")
    refiner = Conditioner.from_pretrained(tmp_path / "refiner.safetensors", dialect="diffusers")
    assert (base.family.name, refiner.family.name) == ("sdxl", "sdxl-refiner")
    ids = torch.from_numpy(Tokenizer.from_preset("sdxl-2").encode_batch(PROMPTS, max_length=77)).long()
    with torch.no_grad():
        found = two.forward_intermediates(text=ids, text_indices=[G.layers - 2], normalize_intermediates=False)
        pooled = two.encode_text(ids)
    hidden = found["text_intermediates"][0]
    close(refiner(PROMPTS, negative=False).prompt_embeds, hidden)
    both = base(PROMPTS, negative=False)
    close(both.prompt_embeds, torch.cat([states(one, 49407, -2)[0], hidden], dim=-1))
    close(both.pooled_prompt_embeds, pooled)
    close(refiner(PROMPTS, negative=False).pooled_prompt_embeds, pooled)


def saved(folder, kind, **encoders):
    """A pipeline's folder with these text encoders alone."""
    index = {"_class_name": kind}
    for suffix, model in encoders.items():
        index[f"text_encoder{suffix}"] = ["transformers", type(model).__name__]
        model.save_pretrained(folder / f"text_encoder{suffix}")
        Tokenizer.from_preset("sdxl-2" if model.config.hidden_size == 128 else "sd1").save_pretrained(
            folder / f"tokenizer{suffix}"
        )
    (folder / "model_index.json").write_text(json.dumps(index))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_folder_of_sd3(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    first = TextConfig(**{**vars(L), "projection": 64})
    one, two = hf_model(first), hf_model(G)
    saved(tmp_path, "StableDiffusion3Pipeline", **{"": one, "_2": two})
    cond = Conditioner.from_pretrained(tmp_path, dialect="diffusers")
    assert cond.family.name == "sd3"
    pipe = diffusers.StableDiffusion3Pipeline(
        transformer=None,
        scheduler=None,
        vae=None,
        text_encoder=one,
        tokenizer=transformers_tokenizer(tmp_path / "tokenizer"),
        text_encoder_2=two,
        tokenizer_2=transformers_tokenizer(tmp_path / "tokenizer_2"),
        text_encoder_3=None,
        tokenizer_3=None,
    )
    embeds, pooled = [], []
    for number in (0, 1):
        found = pipe._get_clip_prompt_embeds(PROMPTS, device="cpu", clip_model_index=number)
        embeds.append(found[0])
        pooled.append(found[1])
    ours = cond(PROMPTS, negative=False)
    assert ours.prompt_embeds.shape == (2, 77, 4096) and not ours.prompt_embeds[..., 192:].any()
    close(ours.prompt_embeds[..., :192], torch.cat(embeds, dim=-1))
    close(ours.pooled_prompt_embeds, torch.cat(pooled, dim=-1))


def test_a_file_of_sd3(tmp_path):
    """As one of Stability's with its text encoders: both CLIPs by transformers' names, under ComfyUI's prefixes."""
    one, two = hf_model(TextConfig(**{**vars(L), "projection": 64})), hf_model(G)
    tensors = {
        **prefixed(one, "text_encoders.clip_l.transformer."),
        **prefixed(two, "text_encoders.clip_g.transformer."),
    }
    save_file({**tensors, "model.diffusion_model.x": torch.zeros(1)}, tmp_path / "sd3.safetensors")
    cond = Conditioner.from_pretrained(tmp_path / "sd3.safetensors", dialect="diffusers")
    assert cond.family.name == "sd3" and [role.tokenizer.pad for role in cond.roles] == [49407, 0]
    ours = cond(PROMPTS, negative=False)
    first, second = states(one, 49407, -2), states(two, 0, -2)
    assert ours.prompt_embeds.shape == (2, 77, 4096)
    close(ours.prompt_embeds[..., :192], torch.cat([first[0], second[0]], dim=-1))
    close(ours.pooled_prompt_embeds, torch.cat([first[1].text_embeds, second[1].text_embeds], dim=-1))


def transformers_tokenizer(folder):
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder)


def test_a_folder_of_flux(tmp_path):
    model = hf_model(L)
    saved(tmp_path, "FluxPipeline", **{"": model})
    cond = Conditioner.from_pretrained(tmp_path, dialect="diffusers")
    out = cond(PROMPTS, negative=False)
    assert cond.family.name == "flux" and list(out) == ["pooled_prompt_embeds"]
    close(out.pooled_prompt_embeds, states(model, 49407, -1)[1].pooler_output)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model_index\.json"):
        Conditioner.from_pretrained(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "AudioPipeline"}')
    with pytest.raises(ValueError, match="has no text encoder"):
        Conditioner.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="family is 'sd9'; choose one of"):
        Conditioner.from_pretrained(tmp_path, family="sd9")
    with pytest.raises(ValueError, match="family 'sdxl' has 2 encoders, not 1"):
        Conditioner(TextEncoder(L), family="sdxl")


def test_a_hubs_name(hub, tmp_path):
    index = {"_class_name": "StableDiffusionPipeline", "text_encoder": ["transformers", "CLIPTextModel"]}
    (hub.folder / "org" / "pipeline" / "model_index.json").write_text(json.dumps(index))
    source = """from cliptok.prompts import Conditioner
print(Conditioner.from_pretrained("org/pipeline")("a (cat:1.2)").prompt_embeds.shape)
print(Conditioner.from_pretrained("org/pipeline").family.name)
"""
    printed = asked_of(f"http://127.0.0.1:{hub.server_port}", tmp_path, source).splitlines()
    assert printed == ["torch.Size([1, 77, 64])", "sd2"]
