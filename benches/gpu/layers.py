"""Where the time goes: each part of each layer on the device, the device's kinds of work, and the host's share."""

import contextlib
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from encoder_parts import ATTENTION, PRODUCTS
from encoder_peer import seconds
from kernels import batch_of
from settings import DEVICE, Settings
from towers import captions, pair, zero_shot

from cliptok import Tokenizer
from cliptok.encoder.encode import WINDOW
from cliptok.encoder.sharing import nodes
from cliptok.encoder.sharing.execution import CANONICAL, CUDA, Computation, OnGpu
from cliptok.encoder.sharing.graphs import runner
from cliptok.encoder.sharing.linear_layers import Workspace
from cliptok.encoder.sharing.stream import windows
from cliptok.encoder.sharing.triton_kernels import chosen

PARTS = ("project", "attend", "attend_and_mlp_", "last_block")


@torch.inference_mode()
def run(settings: Settings) -> Iterator[dict[str, Any]]:
    encoder, _ = pair(torch.float16, settings)
    for name, texts in (("captions", captions(settings)), ("zero-shot", zero_shot(settings))):
        yield {"what": f"host, {name}", **host_share(encoder, texts, settings)}
    texts = captions(settings)
    batch = batch_of(texts, torch.float16, encoder.config.heads, CANONICAL[settings.some(-3, 3)], fused=chosen(encoder))
    work = Workspace()

    def once() -> Any:
        return nodes.encode_nodes(encoder, [batch], work)

    for _ in range(3):
        once()
    with timed_parts() as times:
        for _ in range(settings.some(5, 1)):
            once()
    for (part, number), values in sorted(times.items(), key=lambda item: item[0][::-1]):
        yield {"what": "layer", "layer": number, "part": part, "ms": statistics.median(values)}


@contextlib.contextmanager
def timed_parts() -> Iterator[dict[tuple[str, int], list[float]]]:
    """Per part of a block and number of its block, its times in ms between events of the device, when it ends."""
    marks: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    def timed(name: str) -> Callable[..., Any]:
        inner = getattr(nodes, name)

        def run(*arguments: Any) -> Any:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            result = inner(*arguments)
            end.record()
            marks.append((name, begin, end))
            return result

        return run

    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        for name in PARTS:
            stack.enter_context(mock.patch.object(nodes, name, timed(name)))
        yield found
    torch.cuda.synchronize()
    layer = 0
    for name, begin, end in marks:  # in the order of their ends: the last block's parts come before itself
        if name == "last_block":
            found[name, layer - 1].append(begin.elapsed_time(end))
            layer = 0
            continue
        found[name, layer].append(begin.elapsed_time(end))
        layer += name == "attend_and_mlp_"


def host_share(encoder: Any, texts: list[str], settings: Settings) -> dict[str, Any]:
    """A run of `encode`: how long the device worked, tokenizing and planning alone, and of what kinds the work was."""
    tokenizer = Tokenizer()
    for _ in range(3):
        encoder.encode(texts, tokenizer)
    whole = seconds(DEVICE, lambda: encoder.encode(texts, tokenizer))
    gpu = OnGpu(Computation(encoder, "text_embeds", normalize=False, fused=chosen(encoder)), runner(encoder))
    config = encoder.config

    def plan() -> list[Any]:
        found = windows(texts, tokenizer, WINDOW, config.end_id, config.positions, config.vocabulary)
        return list(gpu.plan(found, CUDA.budget, False))

    planned = seconds(DEVICE, plan)
    rates = {"texts_per_s": len(texts) / whole, "planning_alone_texts_per_s": len(texts) / planned}
    if not settings.computes:  # nor is there anything to profile
        return rates
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        encoder.encode(texts, tokenizer)
        torch.cuda.synchronize()
    kinds: dict[str, float] = defaultdict(float)
    for event in profile.key_averages():
        name, spent = event.key.lower(), event.self_device_time_total * 1e-6
        if any(word in name for word in ATTENTION):
            kinds["attention"] += spent
        elif any(word in name for word in PRODUCTS):
            kinds["matrix products"] += spent
        else:
            kinds["copies" if "mem" in name else "pointwise"] += spent
    busy = sum(kinds.values())
    return {
        **rates,
        "device_busy": busy / whole,
        "shares": {kind: spent / busy for kind, spent in kinds.items()},
        "slowest": {
            event.key[:80]: event.self_device_time_total * 1e-6 / whole
            for event in sorted(profile.key_averages(), key=lambda event: -event.self_device_time_total)[:12]
        },
    }
