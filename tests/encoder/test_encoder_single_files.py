"""Single files of every published layout must load to the tower that was saved; only that tower is read."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from cliptok.encoder import TextEncoder
from support.towers import (
    config_of,
    hf_model,
    open_clip_model,
    open_clip_text,
    prefixed,
    random_rows,
    relative,
    same,
    same_as_open_clip,
)


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


def test_only_the_text_tower_is_read(tmp_path, monkeypatch):
    from cliptok.encoder.checkpoints import sources

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
    assert TextEncoder.from_pretrained(mixed, heads=config.heads, activation="gelu").dtype == torch.float32


def test_a_state_dict_stays_its_owners(small):
    tensors = dict(small.state_dict())
    encoder = TextEncoder.from_pretrained(tensors, heads=2, activation="quick_gelu")
    with torch.no_grad():
        encoder.final_layer_norm.weight.zero_()
    assert bool(tensors["text_model.final_layer_norm.weight"].any())
