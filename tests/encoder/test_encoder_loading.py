"""Every published layout, written by the peers' own code where a peer writes it, must load to the same tower."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from towers import FAMILIES, hf_model, random_rows, relative

from cliptok.encoder import TextConfig, TextEncoder

SMALL_VOCABULARY = {"vocabulary": 600, "start_id": 598, "end_id": 599, "pad_id": 599}


def config_of(family: str, **changes) -> TextConfig:
    return TextConfig(**{**FAMILIES[family], **SMALL_VOCABULARY, **changes})


def same(encoder: TextEncoder, reference, config: TextConfig) -> None:
    ids = random_rows(config)
    with torch.no_grad():
        mine, theirs = encoder(ids), reference(ids)
    assert relative(mine.last_hidden_state, theirs.last_hidden_state) < 1e-6
    if encoder.text_projection is not None:
        assert relative(mine.text_embeds, theirs.text_embeds) < 1e-6


def open_clip_model(config: TextConfig, custom: bool = False):
    model = pytest.importorskip("open_clip.model")
    torch.manual_seed(1)
    kind = model.CustomTextCLIP if custom else model.CLIP
    vision = {"layers": 1, "width": 64, "head_width": 32, "patch_size": 8, "image_size": 16}
    text = {
        "context_length": config.positions,
        "vocab_size": config.vocabulary,
        "width": config.width,
        "heads": config.heads,
        "layers": config.layers,
    }
    quick = config.activation == "quick_gelu"
    return kind(config.projection or config.width, vision, text, quick_gelu=quick).eval()


def same_as_open_clip(encoder: TextEncoder, model, config: TextConfig) -> None:
    ids = random_rows(config, length=config.positions)
    with torch.no_grad():
        assert relative(encoder(ids).text_embeds, model.encode_text(ids)) < 1e-6


# -- folders


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


def load_named(model) -> dict:
    """The state dict as transformers writes it to disk."""
    return {
        name if name.startswith(("text_model.", "text_projection")) else f"text_model.{name}": value.contiguous()
        for name, value in model.state_dict().items()
    }


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
    with pytest.raises(FileNotFoundError, match="neither a file nor a folder"):
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


# -- OpenAI's TorchScript archives


class _OpenAI(torch.nn.Module):
    """The attribute names of OpenAI's class, around open_clip's modules."""

    def __init__(self, model) -> None:
        super().__init__()
        self.transformer, self.token_embedding, self.ln_final = model.transformer, model.token_embedding, model.ln_final
        self.positional_embedding, self.text_projection = model.positional_embedding, model.text_projection
        self.visual, self.logit_scale = model.visual, model.logit_scale
        self.register_buffer("mask", model.attn_mask)
        self.end = 599

    def forward(self, text):
        x = self.token_embedding(text) + self.positional_embedding
        x = self.ln_final(self.transformer(x, attn_mask=self.mask))
        return x[torch.arange(x.shape[0]), (text == self.end).int().argmax(dim=-1)] @ self.text_projection


def test_openai_torchscript_archive(tmp_path, monkeypatch):
    config = config_of("ViT-B")
    model = open_clip_model(config)
    ids = random_rows(config, length=77)
    archive = torch.jit.trace(_OpenAI(model), ids, check_trace=False)
    archive.save(str(tmp_path / "ViT-X-32.pt"))

    def never(*_, **__):
        raise AssertionError("an archive's code must not be compiled")

    monkeypatch.setattr(torch.jit, "load", never)
    monkeypatch.setattr(torch, "load", never)
    encoder = TextEncoder.from_pretrained(tmp_path / "ViT-X-32.pt", heads=config.heads)
    assert encoder.config.activation == "quick_gelu" and encoder.config.projection == config.projection
    same_as_open_clip(encoder, model, config)


def test_archive_that_asks_for_other_classes_is_refused(tmp_path):
    import zipfile

    class Attack:
        def __reduce__(self):
            return (print, ("it ran",))

    import pickle

    with zipfile.ZipFile(tmp_path / "bad.pt", "w") as archive:
        archive.writestr("bad/data.pkl", pickle.dumps({"token_embedding.weight": Attack()}))
        archive.writestr("bad/constants.pkl", b"")
    with pytest.raises(ValueError, match=r"refused: it asks for builtins\.print"):
        TextEncoder.from_pretrained(tmp_path / "bad.pt")


# -- single files of Stable Diffusion


def prefixed(model, prefix: str) -> dict:
    return {prefix + name: value.contiguous().clone() for name, value in load_named(model).items()}


def open_clip_text(model, prefix: str) -> dict:
    return {prefix + k: v.contiguous() for k, v in model.state_dict().items() if not k.startswith("visual.")}


@pytest.mark.parametrize("omit", [False, True])
def test_sd1_file(tmp_path, omit):
    config = config_of("ViT-L")
    model = hf_model(config)
    tensors = prefixed(model, "cond_stage_model.transformer.")
    if omit:
        tensors = {name.replace("text_model.", ""): value for name, value in tensors.items()}
    middle = "" if omit else "text_model."
    # Merged files carry position ids in float, and wrong ones.
    tensors[f"cond_stage_model.transformer.{middle}embeddings.position_ids"] = torch.full((1, 77), torch.nan)
    tensors["model.diffusion_model.out.0.weight"] = torch.zeros(3)
    save_file(tensors, tmp_path / "sd1.safetensors")
    encoder = TextEncoder.from_pretrained(tmp_path / "sd1.safetensors", heads=config.heads)
    assert encoder.config.activation == "quick_gelu" and encoder.text_projection is None
    same(encoder, model, config)


def test_sd2_file_uses_all_blocks_but_the_last(tmp_path):
    config = config_of("ViT-H")
    model = open_clip_model(config)
    save_file(open_clip_text(model, "cond_stage_model.model."), tmp_path / "sd2.safetensors")
    encoder = TextEncoder.from_pretrained(tmp_path / "sd2.safetensors", heads=config.heads)
    assert encoder.config.layers == config.layers - 1 and encoder.text_projection is None
    assert encoder.config.activation == "gelu" and encoder.config.pad_id == 0
    ids = random_rows(config, length=77)
    with torch.no_grad():
        theirs = model.forward_intermediates(text=ids, text_indices=[config.layers - 2], normalize_intermediates=True)
        assert relative(encoder(ids).last_hidden_state, theirs["text_intermediates"][0]) < 1e-6


def test_sdxl_file_holds_two(tmp_path):
    first, second = config_of("ViT-L"), config_of("bigG")
    one, two = hf_model(first), open_clip_model(second)
    tensors = prefixed(one, "conditioner.embedders.0.transformer.")
    tensors.update(open_clip_text(two, "conditioner.embedders.1.model."))
    path = tmp_path / "sdxl.safetensors"
    save_file(tensors, path)
    with pytest.raises(ValueError, match='2 text towers; choose one with encoder="clip_l", "clip_g"'):
        TextEncoder.from_pretrained(path)
    same(TextEncoder.from_pretrained(path, encoder="clip_l", heads=first.heads), one, first)
    encoder = TextEncoder.from_pretrained(path, encoder="clip_g", heads=second.heads)
    assert encoder.config.activation == "gelu"
    same_as_open_clip(encoder, two, second)

    save_file(open_clip_text(two, "conditioner.embedders.0.model."), tmp_path / "refiner.safetensors")
    same_as_open_clip(TextEncoder.from_pretrained(tmp_path / "refiner.safetensors", heads=second.heads), two, second)


def test_sd3_file_holds_two_and_t5(tmp_path):
    first, second = config_of("ViT-L", projection=96), config_of("bigG")
    one, two = hf_model(first), hf_model(second)
    tensors = prefixed(one, "text_encoders.clip_l.transformer.")
    tensors.update(prefixed(two, "text_encoders.clip_g.transformer."))
    tensors["text_encoders.t5xxl.transformer.shared.weight"] = torch.zeros(4, 4)
    save_file(tensors, tmp_path / "sd3.safetensors")
    for name, model, config in (("clip_l", one, first), ("clip_g", two, second)):
        encoder = TextEncoder.from_pretrained(tmp_path / "sd3.safetensors", encoder=name, heads=config.heads)
        assert encoder.config.activation == config.activation
        same(encoder, model, config)


def test_longclip_has_248_positions_from_two_tables(tmp_path):
    config = config_of("ViT-B", positions=248)
    model = open_clip_model(config)
    tensors = dict(model.state_dict())
    stretched = torch.randn_like(tensors["positional_embedding"])
    torch.save({**tensors, "positional_embedding_res": stretched}, tmp_path / "longclip.pt")
    encoder = TextEncoder.from_pretrained(tmp_path / "longclip.pt", heads=config.heads)
    assert encoder.config.positions == 248
    with torch.no_grad():
        model.positional_embedding[20:] = stretched[20:]
    same_as_open_clip(encoder, model, config)


# -- what is read, and what is refused


def test_only_the_text_tower_is_read(tmp_path, monkeypatch):
    from cliptok.encoder import sources

    config = config_of("ViT-L")
    tensors = prefixed(hf_model(config), "cond_stage_model.transformer.")
    tensors["model.diffusion_model.big"] = torch.zeros(10)
    save_file(tensors, tmp_path / "sd.safetensors")
    read = []
    plain = sources.SafetensorsSource.read
    monkeypatch.setattr(sources.SafetensorsSource, "read", lambda self, name: (read.append(name), plain(self, name))[1])
    TextEncoder.from_pretrained(tmp_path / "sd.safetensors", heads=config.heads)
    assert sorted(read) == sorted(name for name in tensors if "text_model" in name)


def test_dtype_follows_the_file_or_the_argument(tmp_path):
    config = config_of("ViT-L")
    model = hf_model(config)
    model.half().save_pretrained(tmp_path)
    assert TextEncoder.from_pretrained(tmp_path).dtype == torch.float16
    encoder = TextEncoder.from_pretrained(tmp_path, dtype=torch.float32)
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    # OpenAI's files keep embeddings and LayerNorm in float32: nothing may be lost.
    mixed = dict(model.state_dict())
    mixed["final_layer_norm.weight"] = mixed["final_layer_norm.weight"].float()
    assert TextEncoder.from_pretrained(mixed, heads=config.heads).dtype == torch.float32


def test_a_state_dict_stays_its_owners(small):
    tensors = dict(small.state_dict())
    encoder = TextEncoder.from_pretrained(tensors, heads=2)
    with torch.no_grad():
        encoder.final_layer_norm.weight.zero_()
    assert bool(tensors["final_layer_norm.weight"].any())


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
        TextEncoder.from_pretrained(tmp_path / "bad.safetensors", heads=config.heads)
    assert named in str(caught.value)


def test_overflow_in_half_precision_is_named(tmp_path):
    config = config_of("ViT-L")
    tensors = load_named(hf_model(config))
    tensors["text_model.final_layer_norm.weight"][0] = 1e6
    save_file(tensors, tmp_path / "big.safetensors")
    with pytest.raises(ValueError, match=r"not finite in torch.float16, in text_model.final_layer_norm.weight"):
        TextEncoder.from_pretrained(tmp_path / "big.safetensors", heads=3, dtype=torch.float16)


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
    with pytest.raises(TypeError, match="torch_dtype"):
        TextEncoder.from_pretrained(tmp_path / "unet.safetensors", torch_dtype=torch.float16)


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
    assert again.config == config
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), encoder.parameters(), strict=True))


@pytest.mark.parametrize("eos", [2, 49407])
def test_old_configurations_with_eos_2_pool_at_the_end_of_text(eos):
    config = TextConfig.from_transformers(
        {"hidden_size": 64, "eos_token_id": eos, "bos_token_id": 0, "pad_token_id": 1}
    )
    assert config.end_id == 49407
