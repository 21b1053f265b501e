"""transformers' text model with the encoder's weights, its batches, and the check that both give the same."""

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from cliptok.encoder import TextConfig, TextEncoder

END, POSITIONS = 49407, 77


def build(dtype: torch.dtype, device: torch.device, preset: str = "ViT-L-14", **sizes: Any) -> tuple[TextEncoder, Any]:
    """A preset with the same random weights in ours and in transformers' model; `sizes` as in `TextConfig.preset`."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig.preset(preset, **sizes), dtype=dtype, device=device).eval()
    values = encoder.config.to_transformers()
    config = {k: v for k, v in values.items() if k not in ("architectures", "model_type")}
    kind = CLIPTextModel if encoder.text_projection is None else CLIPTextModelWithProjection
    with device:
        peer = kind(CLIPTextConfig(**config, attn_implementation="sdpa"))
    names = peer.state_dict().keys()  # transformers 5.0 to 5.5 has `text_model.` in both classes, later ones in one
    own = {name.removeprefix("text_model."): value for name, value in encoder.state_dict().items()}
    peer.load_state_dict({name: own[name.removeprefix("text_model.")] for name in names}, strict=True)
    return encoder, peer.to(device, dtype).eval()


def seconds(device: torch.device, run: Callable[[], Any]) -> float:
    """Wall time of a call, on CUDA with the device idle before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(
    device: torch.device, repeats: int, ours: Callable[[], Any], count: int, rivals: dict[str, Callable[[int], Any]]
) -> dict[str, Any]:
    """Texts per second of ours, of `count` texts, and of each rival, interleaved.

    A rival is called with the number of the repeat, or -1 to warm up, and returns a call and its number of texts.
    """
    ours()
    for rival in rivals.values():
        rival(-1)[0]()
    mine: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in rivals}
    for turn in range(repeats):
        for name, rival in rivals.items():
            run, texts = rival(turn)
            theirs[name].append(texts / seconds(device, run))
        mine.append(count / seconds(device, ours))
    return {
        "ours": statistics.median(mine),
        "peers": {name: statistics.median(rates) for name, rates in theirs.items()},
        "ratios": {
            name: statistics.median(m / t for m, t in zip(mine, rates, strict=True)) for name, rates in theirs.items()
        },
        "all": {"ours": mine, **theirs},
    }


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
