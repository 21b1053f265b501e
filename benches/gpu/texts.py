"""Texts per second of `encode` beside transformers, padded to 77 positions and in batches sorted by length.

Ours gets texts, transformers ids that are on the device already. It is timed on a part of its batches, evenly spaced
over the sorted ones, and always the same: cuDNN plans for each new length, up to 120 ms, and that is not what is timed.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from encoder_peer import POSITIONS, batches, compare, part
from inputs import available
from settings import DEVICE, Settings, median_ms
from towers import captions, errors, pair, zero_shot

from cliptok import Tokenizer
from cliptok.encoder import TextEncoder

BATCH = 256


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    tokenizer = Tokenizer()
    sets = {"captions": captions(settings), "zero-shot": zero_shot(settings)}
    tokens = {
        name: [tokenizer.encode(t, truncation=True, max_length=POSITIONS) for t in texts]
        for name, texts in sets.items()
    }
    for kind in ("float16", "bfloat16"):
        encoder, peer = pair(getattr(torch, kind), settings)
        yield {"what": "warm-up", "dtype": kind, "ms": median_ms(encoder.warm_up, 1), "bytes": encoder.warm_up()}
        for name, texts in sets.items():
            whole = {how: batches(tokens[name], how, DEVICE, BATCH) for how in ("padded", "sorted")}
            found = errors(encoder, peer, texts, settings)
            with torch.inference_mode():
                result = compare(
                    DEVICE,
                    settings.some(9, 1),
                    partial(encoder.encode, texts, tokenizer),
                    len(texts),
                    {how: partial(_rival, peer, whole[how], settings.some(40, 1)) for how in whole},
                )
            yield {"what": name, "dtype": kind, "count": len(texts), "real": available(), "error": found, **result}
        yield from one_text(kind, encoder, peer, tokenizer, settings)


def _rival(peer: Any, whole: list[torch.Tensor], count: int, _: int) -> tuple[Any, int]:
    chosen = part(whole, min(count, len(whole)) / len(whole), 0, 1)
    return lambda: [peer(batch) for batch in chosen], sum(map(len, chosen))


@torch.inference_mode()
def one_text(
    kind: str, encoder: TextEncoder, peer: Any, tokenizer: Tokenizer, settings: Settings
) -> Iterator[dict[str, Any]]:
    """The time until one caption's embedding is there, and until the call returns."""
    text, count = ["a photo of a cat on a red sofa"], settings.some(200, 3)
    ids = torch.tensor([tokenizer.encode(text[0])], device=DEVICE)
    ours = median_ms(lambda: encoder.encode(text, tokenizer), count)
    yield {
        "what": "one text",
        "dtype": kind,
        "ours_ms": ours,
        "transformers_ms": median_ms(lambda: peer(ids).text_embeds, count // 4 + 1),
    }
