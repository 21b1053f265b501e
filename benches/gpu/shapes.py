"""What new shapes cost: which attention kernel runs, and whether any call waits for a kernel to be planned or built."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from encoder_peer import seconds
from kernels import batch_of
from settings import DEVICE, Settings
from towers import captions, pair

from cliptok import Tokenizer
from cliptok.encoder.forward import forward


@torch.inference_mode()
def run(settings: Settings) -> Iterator[dict[str, Any]]:
    tokenizer, texts = Tokenizer(), captions(settings)
    encoder, _ = pair(torch.float16, settings)
    ids = torch.full((2, 77), 49407)
    if not settings.computes:
        yield {"what": "attention kernels", "skipped": "the profiler needs a device that computes"}
    for name, call in {
        "encode": lambda: encoder.encode(texts[:3000], tokenizer),
        "forward": lambda: forward(encoder, ids),
    }.items():
        if settings.computes:
            yield {"what": f"attention kernels of {name}", "names": attention_kernels(call)}
    # Odd sizes one after another: with few shapes none is new for long.
    counts = [n for step in (1, 7, 61, 509) for n in range(step, settings.some(9, 4) * step, step)]
    yield {"what": "encode, odd sizes", **_stalls(counts, lambda n: encoder.encode(texts[:n], tokenizer))}
    rows = range(1, settings.some(33, 6))
    yield {"what": "forward, odd sizes", **_stalls(rows, lambda n: forward(encoder, ids[:1].expand(n, 77)))}
    # What torch would choose for the same masks, a new shape each time.
    mask = batch_of(texts, torch.float16).groups[0].mask
    columns, chunks = mask.shape[-1], len(mask)

    def chosen_by_torch(n: int) -> torch.Tensor:
        q = torch.randn(min(n, chunks), 12, mask.shape[2], 64, dtype=torch.float16, device=DEVICE)
        k, v = (torch.randn(len(q), 12, columns, 64, dtype=torch.float16, device=DEVICE) for _ in range(2))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask[: len(q)])

    try:
        if settings.computes:
            names = attention_kernels(lambda: chosen_by_torch(8))
            yield {"what": "attention kernels by torch's choice", "names": names}
        sizes = range(1, min(chunks, settings.some(13, 4)))
        yield {"what": "attention by torch's choice, odd sizes", **_stalls(sizes, chosen_by_torch)}
    except RuntimeError as error:
        yield {"what": "attention by torch's choice, odd sizes", "refused": str(error).splitlines()[0][:100]}


def _stalls(sizes: Any, call: Callable[[int], Any]) -> dict[str, Any]:
    """The slowest first call of a size, the slowest second (which may capture a graph), and the median third, in ms."""
    times = [[1e3 * seconds(DEVICE, lambda n=n: call(n)) for _ in range(3)] for n in sizes]
    first, second, third = (sorted(turn) for turn in zip(*times, strict=True))
    over = sum(t[0] > 50 for t in times)
    return {
        "first_ms_max": first[-1],
        "second_ms_max": second[-1],
        "third_ms_median": third[len(third) // 2],
        "sizes": len(times),
        "first_over_50_ms": over,
    }


def attention_kernels(call: Callable[[], Any]) -> list[str]:
    """Names of the device's kernels that are attention, as the profiler saw them in the third call."""
    call(), call()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        call()
        torch.cuda.synchronize()
    words = ("fmha", "flash", "attention", "cudnn", "softmax", "sdpa")
    return sorted({event.key[:120] for event in profile.key_averages() if any(w in event.key.lower() for w in words)})
