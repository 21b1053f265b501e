"""Small towers of the four families, with random weights made by the peers' own code."""

from __future__ import annotations

import torch

from cliptok.encoder import TextConfig

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
