"""transformers' model through `torch.compile`, on the same ids as it has without, beside ours."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from encoder_peer import POSITIONS, batches, compare
from settings import DEVICE, Settings, check, median_ms, relative
from texts import BATCH
from towers import captions, pair

from cliptok import Tokenizer
from cliptok.encoder.forward import forward


@torch.inference_mode()
def run(settings: Settings) -> Iterator[dict[str, Any]]:
    if not settings.computes:
        yield {"what": "compiled", "skipped": "compiled kernels need a device that computes"}
        return
    tokenizer, texts = Tokenizer(), captions(settings)
    encoder, peer = pair(torch.float16, settings)
    for mode, rows in (("default", BATCH), ("default", 128), ("reduce-overhead", 1)):
        torch.compiler.reset()
        compiled = torch.compile(peer, mode=mode, dynamic=False)
        tokens = [tokenizer.encode(t, truncation=True, max_length=POSITIONS) for t in texts[: 16 * rows]]
        padded = batches(tokens, "padded", DEVICE, rows)
        start = time.perf_counter()
        found = compiled(padded[0]).text_embeds.clone()
        took = time.perf_counter() - start
        error = check(relative(found, peer(padded[0]).text_embeds), 0.03, "torch.compile", settings)
        compiled(padded[-1])

        def theirs(compiled: Any = compiled, padded: Any = padded) -> None:
            for batch in padded:
                torch.compiler.cudagraph_mark_step_begin()
                _ = compiled(batch).text_embeds

        count = sum(map(len, padded))
        row = {"what": f"compiled, {mode}, batch {rows}", "compile_s": took, "difference": error}
        if rows == BATCH:
            ours = partial(encoder.encode, texts, tokenizer)
            yield {**row, **compare(DEVICE, 5, ours, len(texts), {"compiled": lambda _, t=theirs, n=count: (t, n)})}
        else:
            given = [batch.cpu() for batch in padded]

            def ours_one(given: torch.Tensor = given[0]) -> Any:
                return forward(encoder, given).unchecked("text_embeds")

            def theirs_one(compiled: Any = compiled, batch: torch.Tensor = padded[0]) -> None:
                torch.compiler.cudagraph_mark_step_begin()
                _ = compiled(batch).text_embeds

            for batch in given[:3]:
                ours_one(batch)
            yield {
                **row,
                "ours_one_ms": median_ms(ours_one, 30),
                "compiled_one_ms": median_ms(theirs_one, 30),
                "ours_ms": median_ms(lambda given=given: [*map(ours_one, given)], 9) / len(given),
                "compiled_ms": median_ms(theirs, 9) / len(padded),
            }
