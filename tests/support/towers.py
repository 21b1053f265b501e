"""Small towers of the four families, with random weights made by the peers' own code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from cliptok.encoder import TextConfig, TextEncoder

# width, layers, heads, activation, projection: the families' shapes in small
FAMILIES = {
    "ViT-B": {"width": 64, "layers": 3, "heads": 2, "mlp": 256, "activation": "quick_gelu", "projection": 48},
    "ViT-L": {"width": 96, "layers": 3, "heads": 3, "mlp": 384, "activation": "quick_gelu", "projection": None},
    "ViT-H": {"width": 128, "layers": 4, "heads": 2, "mlp": 512, "activation": "gelu", "projection": None, "pad_id": 0},
    "bigG": {"width": 160, "layers": 4, "heads": 5, "mlp": 640, "activation": "gelu", "projection": 160, "pad_id": 0},
}


def hf_model(config: TextConfig, seed: int = 0):
    """transformers' model of these sizes. Its own initialisation is multiplied, so that every layer matters."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(seed)
    values = config.to_transformers()
    for name in ("architectures", "model_type"):
        values.pop(name)
    kind = CLIPTextModel if config.projection is None else CLIPTextModelWithProjection
    model = kind(CLIPTextConfig(**values, attn_implementation="sdpa")).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif "embedding" not in name:
                parameter.mul_(3)
    return model


def random_rows(config: TextConfig, count: int = 7, length: int = 20, seed: int = 0):
    """Ids (count, length) with an end of text somewhere in each row and the pad id after it."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(1, config.end_id - 1, (count, length), generator=generator)
    rows[:, 0] = config.start_id
    for row in rows:
        end = int(torch.randint(1, length, (1,), generator=generator))
        row[end] = config.end_id
        row[end + 1 :] = config.pad_id
    rows[0, 1:] = config.pad_id
    rows[0, 1] = config.end_id
    return rows


def relative(ours, reference) -> float:
    """The largest difference over the largest magnitude."""
    return float((ours.double() - reference.double()).abs().max() / reference.double().abs().max())


SMALL_VOCABULARY = {"vocabulary": 600, "start_id": 598, "end_id": 599, "pad_id": 599}


def config_of(family: str, **changes) -> TextConfig:
    return TextConfig(**{**FAMILIES[family], **SMALL_VOCABULARY, **changes})


def same(encoder: TextEncoder, reference, config: TextConfig) -> None:
    ids = random_rows(config)
    with torch.no_grad():
        mine, theirs = encoder(ids), reference(ids)
    assert relative(mine.last_hidden_state, theirs.last_hidden_state) < 1e-6
    assert list(mine) == list(theirs)
    for name in mine:
        assert relative(mine[name], theirs[name]) < 1e-6


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


def load_named(model) -> dict:
    """The state dict as transformers writes it to disk."""
    return {
        name if name.startswith(("text_model.", "text_projection")) else f"text_model.{name}": value.contiguous()
        for name, value in model.state_dict().items()
    }


def prefixed(model, prefix: str) -> dict:
    return {prefix + name: value.contiguous().clone() for name, value in load_named(model).items()}


def open_clip_text(model, prefix: str) -> dict:
    return {prefix + k: v.contiguous() for k, v in model.state_dict().items() if not k.startswith("visual.")}


START, END = 49406, 49407


class Packed:
    """What `Tokenizer.encode_packed` returns."""

    def __init__(self, rows) -> None:
        self.input_ids = np.array(list(itertools.chain(*rows)), dtype=np.int32)
        self.offsets = np.cumsum([0, *map(len, rows)])


@torch.no_grad()
def row_by_row(encoder, rows):
    """The naive twin: every text alone, unpadded, through the plain forward pass."""
    outputs = [encoder(torch.tensor([row])) for row in rows]
    return torch.cat([o["text_embeds" if "text_embeds" in o else "pooler_output"] for o in outputs])
