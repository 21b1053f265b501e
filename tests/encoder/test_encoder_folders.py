"""Folders and hub names, written by the peers' own code, and back to folders that transformers loads."""

from __future__ import annotations

import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import save_file

from cliptok.encoder import TextConfig, TextEncoder
from support.towers import (
    FAMILIES,
    config_of,
    hf_model,
    load_named,
    open_clip_model,
    random_rows,
    relative,
    same,
    same_as_open_clip,
)


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_folder(tmp_path, family):
    config = config_of(family)
    model = hf_model(config)
    model.save_pretrained(tmp_path)
    encoder = TextEncoder.from_pretrained(tmp_path)
    assert encoder.config == config and not encoder.training
    same(encoder, model, config)


def test_whole_clip_folder_reads_the_text_half(tmp_path):
    from transformers import CLIPConfig, CLIPModel

    config = config_of("ViT-B")
    torch.manual_seed(0)
    text = {k: v for k, v in config.to_transformers().items() if k not in ("architectures", "model_type")}
    vision = {
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
    }
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=config.projection)).eval()
    model.save_pretrained(tmp_path)
    encoder = TextEncoder.from_pretrained(tmp_path)
    ids = random_rows(config)
    theirs = model.get_text_features(ids)
    theirs = getattr(theirs, "pooler_output", theirs)
    assert relative(encoder(ids).text_embeds.detach(), theirs.detach()) < 1e-6


def test_sharded_and_fp16_variant_and_bin(tmp_path):
    config = config_of("ViT-L")
    model = hf_model(config)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="300KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    same(TextEncoder.from_pretrained(tmp_path / "sharded"), model, config)

    half = hf_model(config).half()
    half.save_pretrained(tmp_path / "half", variant="fp16")
    half.save_pretrained(tmp_path / "half shards", variant="fp16", max_shard_size="300KB")
    for folder in ("half", "half shards"):
        encoder = TextEncoder.from_pretrained(tmp_path / folder, variant="fp16")
        assert encoder.dtype == torch.float16
        same(encoder.float(), half.float(), config)
        half.half()
    with pytest.raises(FileNotFoundError, match='variant="fp16"'):
        TextEncoder.from_pretrained(tmp_path / "half")

    (tmp_path / "bin").mkdir()
    shutil.copy(tmp_path / "sharded/config.json", tmp_path / "bin")
    torch.save(load_named(model), tmp_path / "bin/pytorch_model.bin")
    same(TextEncoder.from_pretrained(tmp_path / "bin"), model, config)


def test_subfolder_of_a_pipeline(tmp_path):
    config = config_of("ViT-L")
    model = hf_model(config)
    model.save_pretrained(tmp_path / "text_encoder")
    (tmp_path / "model_index.json").write_text("{}")
    same(TextEncoder.from_pretrained(tmp_path, subfolder="text_encoder"), model, config)
    with pytest.raises(FileNotFoundError, match='subfolder="text_encoder"'):
        TextEncoder.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="no subfolder 'text_encoder_2'"):
        TextEncoder.from_pretrained(tmp_path, subfolder="text_encoder_2")
    with pytest.raises(FileNotFoundError, match="no such file or folder, and no hub name"):
        TextEncoder.from_pretrained(str(tmp_path / "nothing/here/at/all"))


@pytest.mark.parametrize("custom", [False, True])
def test_open_clip_folder_and_file(tmp_path, custom):
    config = config_of("ViT-B", activation="gelu")
    model = open_clip_model(config, custom)
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    description = {"model_cfg": {"text_cfg": {"width": config.width, "heads": config.heads}, "quick_gelu": False}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(description))
    encoder = TextEncoder.from_pretrained(tmp_path)
    assert encoder.config.activation == "gelu"
    same_as_open_clip(encoder, model, config)

    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "epoch_1.pt")
    again = TextEncoder.from_pretrained(tmp_path / "epoch_1.pt", heads=config.heads, activation="gelu")
    same_as_open_clip(again, model, config)


def test_hub_names_go_through_huggingface_hub(tmp_path, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    config = config_of("ViT-L")
    model = hf_model(config)
    model.save_pretrained(tmp_path / "text_encoder")
    asked = []

    def download(repo, name, subfolder=None, **options):
        asked.append((repo, subfolder, name, options["revision"]))
        path = tmp_path / subfolder / name
        if not path.exists():
            raise EntryNotFoundError(name)
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    encoder = TextEncoder.from_pretrained("someone/something", subfolder="text_encoder", revision="abc")
    same(encoder, model, config)
    assert ("someone/something", "text_encoder", "model.safetensors", "abc") in asked


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_loads_what_is_saved(tmp_path, family, caplog):
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    config = config_of(family)
    torch.manual_seed(0)
    encoder = TextEncoder(config).eval()
    encoder.save_pretrained(tmp_path)
    kind = CLIPTextModel if config.projection is None else CLIPTextModelWithProjection
    with caplog.at_level(logging.WARNING):
        model, info = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    same(encoder, model.eval(), config)
    again = TextEncoder.from_pretrained(tmp_path)
    again.save_pretrained(tmp_path)  # over the files that it was read from
    again = TextEncoder.from_pretrained(tmp_path)
    assert again.config == config and sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), encoder.parameters(), strict=True))


@pytest.mark.parametrize("eos", [2, 49407])
def test_old_configurations_with_eos_2_pool_at_the_end_of_text(eos):
    config = TextConfig.from_transformers(
        {"hidden_size": 64, "eos_token_id": eos, "bos_token_id": 0, "pad_token_id": 1}
    )
    assert config.end_id == 49407
