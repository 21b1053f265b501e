"""Conditioning of Stable Diffusion and XL, and all 77 positions of a batch as TensorRT's published figures have it."""

from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import torch
from encoder_peer import POSITIONS, pad
from settings import DEVICE, Settings, check, median_ms, relative
from towers import captions, pair

from cliptok import Tokenizer
from cliptok.encoder.forward import forward
from cliptok.prompts.stable_diffusion import encode_prompts, encode_prompts_xl

# TensorRT 10.16 on an RTX 6000 Ada: 77 positions, batch 128, ViT-L/14, texts per second.
ANCHORS = {"TensorRT FP16, RTX 6000 Ada": 9_700, "TensorRT FP8, RTX 6000 Ada": 14_070}


@torch.inference_mode()
def run(settings: Settings) -> Iterator[dict[str, Any]]:
    tokenizer, texts = Tokenizer(), captions(settings)
    for kind in ("float16", "bfloat16"):
        yield from positions(kind, tokenizer, texts, settings)
    large, large_peer = pair(torch.float16, settings, projection=None)
    big, big_peer = pair(torch.float16, settings, "ViT-bigG-14", projection=1280)
    for rows in (1, 2, 16, 64):
        chosen = texts[:rows]
        ids = pad([tokenizer.encode(t, truncation=True, max_length=POSITIONS) for t in chosen], DEVICE, POSITIONS)
        yield _row(
            f"SD 1, {rows} prompts",
            partial(encode_prompts, large, tokenizer, chosen),
            lambda ids=ids: large_peer(ids).last_hidden_state,
            settings,
        )

        def xl(ids: torch.Tensor = ids) -> torch.Tensor:
            states = [peer(ids, output_hidden_states=True).hidden_states[-2] for peer in (large_peer, big_peer)]
            return torch.cat(states, dim=-1)

        def ours(chosen: list[str] = chosen) -> torch.Tensor:
            return encode_prompts_xl((large, big), (tokenizer, tokenizer), chosen).prompt_embeds

        yield _row(f"SDXL, {rows} prompts", ours, xl, settings)


def positions(kind: str, tokenizer: Tokenizer, texts: list[str], settings: Settings) -> Iterator[dict[str, Any]]:
    """The forward pass alone, ids on the device, pooled outputs read: the work of the anchors."""
    encoder, peer = pair(getattr(torch, kind), settings)
    for rows in (1, 32, 128, 512):
        tokens = [tokenizer.encode(text, truncation=True, max_length=POSITIONS) for text in texts[:rows]]
        ids = pad(tokens, DEVICE, POSITIONS)
        given = ids.cpu()
        row = _row(
            f"77 positions, batch {len(ids)}",
            lambda given=given: forward(encoder, given).unchecked("text_embeds"),
            lambda ids=ids: peer(ids).text_embeds,
            settings,
        )
        anchors = {name: rate for name, rate in ANCHORS.items() if rows == 128}
        rate = len(ids) / row["ours_ms"] * 1e3
        ratios = {name: rate / anchor for name, anchor in anchors.items()}
        yield {**row, "dtype": kind, "texts_per_s": rate, "times_anchor": ratios}


def _row(
    what: str, ours: Callable[[], torch.Tensor], theirs: Callable[[], torch.Tensor], settings: Settings
) -> dict[str, Any]:
    """Both checked equal and timed; and for how long our call keeps the host."""
    for _ in range(3):  # plainly, captured, replayed
        found = ours()
    error = check(relative(found, theirs()), 0.03, what, settings)
    count = settings.some(30, 2)
    hosts = []
    for _ in range(count):
        torch.cuda.synchronize()
        start = perf_counter()
        ours()
        hosts.append(perf_counter() - start)
    return {
        "what": what,
        "difference": error,
        "ours_ms": median_ms(ours, count),
        "transformers_ms": median_ms(theirs, count // 3 + 1),
        "host_ms": 1e3 * sorted(hosts)[count // 2],
    }
