"""transformers' text model with the encoder's weights, its batches, and the check that both give the same."""

import random
from typing import Any

import torch

from cliptok.encoder import TextConfig, TextEncoder

END, POSITIONS = 49407, 77


def build(dtype: torch.dtype, device: torch.device, layers: int) -> tuple[TextEncoder, Any]:
    """ViT-L/14's sizes with the same random weights in ours and in transformers' model."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig.preset("ViT-L-14", layers=layers), dtype=dtype, device=device).eval()
    values = encoder.config.to_transformers()
    config = {k: v for k, v in values.items() if k not in ("architectures", "model_type")}
    peer = CLIPTextModelWithProjection(CLIPTextConfig(**config, attn_implementation="sdpa"))
    own = {k if k.startswith("text_projection") else f"text_model.{k}": v for k, v in encoder.state_dict().items()}
    peer.load_state_dict(own)
    return encoder, peer.to(device, dtype).eval()


def pad(rows: list[list[int]], device: torch.device, length: int | None = None) -> torch.Tensor:
    """Ids (n, length), by default as long as the longest row, padded with the end of text."""
    length = length or max(map(len, rows))
    return torch.tensor([row + [END] * (length - len(row)) for row in rows], device=device)


def batches(rows: list[list[int]], how: str, device: torch.device, size: int) -> list[torch.Tensor]:
    """All texts in batches: "padded" to 77, or "sorted" by length and padded to each batch's longest."""
    if how == "sorted":
        rows = sorted(rows, key=len)
    return [pad(rows[i : i + size], device, POSITIONS if how == "padded" else None) for i in range(0, len(rows), size)]


def part(whole: list[torch.Tensor], share: float, turn: int, turns: int) -> list[torch.Tensor]:
    """A share of the batches at even distances, so that long and short ones stay in proportion; others every turn."""
    count = max(round(len(whole) * share), 1)
    return [whole[int((i + (turn + 0.5) / turns) * len(whole) / count)] for i in range(count)]


def check_equal(encoder: TextEncoder, peer: Any, texts: list[str], rows: list[list[int]], tokenizer: Any) -> float:
    """The largest relative difference over 64 texts; exits when it is more than rounding."""
    pick = random.Random(1).sample(range(len(texts)), 64)
    got = encoder.encode([texts[i] for i in pick], tokenizer).double()
    expected = torch.cat([peer(pad([rows[i]], encoder.device)).text_embeds for i in pick]).double()
    worst = float((got - expected).abs().max() / expected.abs().max())
    limit = 1e-5 if encoder.dtype == torch.float32 else 0.03
    if not worst < limit:
        raise SystemExit(f"outputs differ by {worst:.1e} in {encoder.dtype}; nothing was timed")
    return worst
