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
from cliptok.encoder.sharing.triton_kernels import Sizes, chosen

TORCH = mock.patch.dict(os.environ, {"CLIPTOK_KERNELS": "torch"})


@torch.inference_mode()
def run(settings: Settings) -> Iterator[dict[str, Any]]:
    if not settings.computes:
        yield {"what": "fused", "skipped": "Triton's kernels need a device that computes"}
        return
    from cliptok.encoder.sharing.triton_kernels.trial import differences  # imports triton

    tokenizer = Tokenizer()
    for dtype, limit in LIMITS.items():
        if dtype == torch.float32:
            continue
        what = f"fused attention over nodes in {dtype}"
        yield {"what": what, "error": check(nodes_error(dtype, captions(settings), fused=True), limit, what, settings)}
        for activation in (True, False):
            for kernel, error in differences(DEVICE, dtype, Sizes(768, 12, 3072, quick_gelu=activation)).items():
                yield {"what": f"{kernel} in {dtype}", "error": check(error, limit, kernel, settings)}
    for kind in ("float16", "bfloat16"):
        encoder, peer = pair(getattr(torch, kind), settings)
        if not chosen(encoder):
            raise AssertionError("the fused kernels did not pass their trial on this device")
        for name, texts in (("captions", captions(settings)), ("zero-shot", zero_shot(settings))):
            with TORCH:
                found = errors(encoder, peer, texts, settings)
                encoder.warm_up()

            def plain(texts: list[str] = texts, encoder: Any = encoder) -> Any:
                with TORCH:
                    return encoder.encode(texts, tokenizer)

            fused = partial(encoder.encode, texts, tokenizer)
            rivals = {"torch": lambda _, plain=plain, texts=texts: (plain, len(texts))}
            yield {
                "what": f"fused, {name}",
                "dtype": kind,
                "count": len(texts),
                "error_of_torch": found,
                **compare(DEVICE, 5, fused, len(texts), rivals),
            }
