"""The Triton kernels beside torch's operations: as exact, and how much faster `encode` is with them."""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest import mock

import torch
from encoder_peer import compare
from kernels import LIMITS, nodes_error
from settings import DEVICE, Settings, check
from towers import captions, errors, pair, zero_shot

from cliptok import Tokenizer

FUSED = mock.patch.dict(os.environ, {"CLIPTOK_KERNELS": "triton"})


@torch.inference_mode()
def run(settings: Settings) -> Iterator[dict[str, Any]]:
    if not settings.computes:
        yield {"what": "fused", "skipped": "Triton's kernels need a device that computes"}
        return
    tokenizer = Tokenizer()
    for dtype, limit in LIMITS.items():
        what = f"fused attention over nodes in {dtype}"
        yield {"what": what, "error": check(nodes_error(dtype, captions(settings), fused=True), limit, what, settings)}
    for kind in ("float16", "bfloat16"):
        encoder, peer = pair(getattr(torch, kind), settings)
        for name, texts in (("captions", captions(settings)), ("zero-shot", zero_shot(settings))):
            with FUSED:
                found = errors(encoder, peer, texts, settings)
                encoder.warm_up()

            def fused(texts: list[str] = texts, encoder: Any = encoder) -> Any:
                with FUSED:
                    return encoder.encode(texts, tokenizer)

            plain = partial(encoder.encode, texts, tokenizer)
            rivals = {"torch": lambda _, plain=plain, texts=texts: (plain, len(texts))}
            yield {
                "what": f"fused, {name}",
                "dtype": kind,
                "count": len(texts),
                "error": found,
                **compare(DEVICE, 5, fused, len(texts), rivals),
            }
