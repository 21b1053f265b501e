"""`TextEncoder.encode`: pooled embeddings of many texts, with no padding and no common prefix computed twice."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cliptok._common.prefetch import prefetch
from cliptok.encoder.caching.encode import cached_blocks
from cliptok.encoder.caching.store import EmbeddingCache, as_cache
from cliptok.encoder.device import to_device
from cliptok.encoder.forward import warm_up as warm_up_forward
from cliptok.encoder.modulewise import encode_by_modules, needs_modules
from cliptok.encoder.sharing import triton_kernels
from cliptok.encoder.sharing.execution import Computation, OnCpu, OnGpu, Planned, output_width
from cliptok.encoder.sharing.graphs import GRAPH_MEMORY, runner
from cliptok.encoder.sharing.stream import is_lazy, windows

if TYPE_CHECKING:
    from cliptok.encoder.model import TextModel

# Texts sorted together: more share more prefixes, and cost their tokens and embeddings in memory.
WINDOW = 16384


def encode(
    encoder: TextModel,
    texts: Any,
    tokenizer: Any = None,
    *,
    output: str | None = None,
    normalize: bool = False,
    window: int = WINDOW,
    budget: int | None = None,
    batch_invariant: bool = False,
    cache: EmbeddingCache | str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Tensor | Iterator[Tensor]:
    """Embeddings of `texts`, in input order, on the encoder's device and in its dtype.

    A `str`, a sequence, an Arrow or pandas column, or packed tokens give a tensor (n, d). Any other iterable, which may
    be larger than memory, gives an iterator of tensors (m, d), m at most `window`, and memory stays constant.

    `tokenizer` defaults to the encoder's own; texts longer than the encoder's positions are truncated. `output` is
    "text_embeds" (the default where there is a projection) or "pooler_output". `normalize` divides by the length.
    `window` texts are sorted together and identical texts and common prefixes in it are computed once; a batch has
    at most `budget` tokens of that. `progress` shows a tqdm bar.

    A row is the same whatever else is encoded with it, up to floating-point rounding. `batch_invariant=True` makes it
    the same bit for bit, for one encoder, device, dtype and thread count, by computing each distinct text alone: it
    costs the sharing and the large matrix products. Raises ValueError for a text without end-of-text id, for ids
    outside the vocabulary and for an output that the encoder does not have.

    `cache` is an `EmbeddingCache` or its folder: texts that were encoded before with equal weights, on such a device
    and with the same options, are read from it, and the others are stored. A text then has the embedding of its first
    time. Raises ValueError for an encoder with hooks or wrapped layers, which a cache cannot tell apart.

    Where the weights are not all that the encoder does (hooks, wrapped layers, attention in both directions), the
    forward pass computes it, and nothing is shared: see `modulewise`.
    """
    output = _checked_output(encoder, output)
    for name, value in (("window", window), ("budget", budget)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    if tokenizer is None and not hasattr(texts, "offsets"):
        from cliptok import Tokenizer

        tokenizer = Tokenizer()
    if isinstance(texts, str):
        texts = [texts]
    total = None if is_lazy(texts) else _count(texts)
    how: dict[str, Any] = {"output": output, "normalize": normalize, "batch_invariant": batch_invariant}
    if (store := as_cache(cache)) is not None:
        compute = partial(encode, encoder, tokenizer=tokenizer, window=window, budget=budget, **how)
        blocks = cached_blocks(encoder, texts, tokenizer, store, compute, window=window, **how)
        return _collected(_shown(blocks, _Bar(progress, total)), texts, encoder, output)
    graphs = runner(encoder) if encoder.device.type == "cuda" else None
    if needs_modules(encoder, graphs):
        blocks = encode_by_modules(encoder, texts, tokenizer, window=window, progress=progress, **how)
        return _collected(blocks, texts, encoder, output)
    config = encoder.config
    sorted_windows = windows(texts, tokenizer, window, config.end_id, config.positions, config.vocabulary)
    computation = Computation(encoder, output, normalize, fused=triton_kernels.chosen(encoder))
    executor = OnCpu(computation) if graphs is None else OnGpu(computation, graphs)
    planned = executor.plan(sorted_windows, budget, batch_invariant)
    if total is None or total > _FEW:
        planned = prefetch(planned, depth=2)
    return _collected(_blocks(executor, planned, _Bar(progress, total)), texts, encoder, output)


def _collected(blocks: Iterator[Tensor], texts: Any, encoder: TextModel, output: str) -> Tensor | Iterator[Tensor]:
    """The blocks of a lazy iterable as they come, those of anything else as one tensor."""
    if is_lazy(texts):
        return blocks
    found = list(blocks)
    if not found:
        return torch.empty(0, output_width(encoder, output), dtype=encoder.dtype, device=encoder.device)
    return found[0] if len(found) == 1 else torch.cat(found)


# Texts that are planned sooner than a thread is started.
_FEW = 256


def _blocks(executor: OnCpu | OnGpu, planned: Iterable[Planned], bar: _Bar) -> Iterator[Tensor]:
    """Per window its embeddings, in input order."""
    tower, width = executor.computation.tower, executor.computation.width
    device = tower.device
    with bar:
        for window, batches in planned:
            start, stop = batches[0].start, batches[-1].stop
            if start == 0:
                distinct = torch.empty(len(window), width, dtype=tower.dtype, device=device)
                copies = torch.from_numpy(window.inverse())
                repeats = torch.bincount(copies, minlength=len(distinct)).cumsum(0).tolist() if bar.shown else []
            # A caller's autocast would compute in other dtypes, and cache casts of weights that a graph then keeps.
            with torch.inference_mode(), torch.autocast(device.type, enabled=False):
                executor.run(batches, distinct[start:stop])
            if bar.shown:
                bar.update(repeats[stop - 1] - (repeats[start - 1] if start else 0))
            if stop == len(distinct):
                yield distinct.index_select(0, to_device(copies, device))


def _shown(blocks: Iterator[Tensor], bar: _Bar) -> Iterator[Tensor]:
    with bar:
        for block in blocks:
            if bar.shown:
                bar.update(len(block))
            yield block


def _checked_output(tower: TextModel, output: str | None) -> str:
    """`output`, or its default for this tower."""
    if output is None:
        return "pooler_output" if tower.text_projection is None else "text_embeds"
    if output not in ("text_embeds", "pooler_output"):
        raise ValueError(f'output must be "text_embeds" or "pooler_output", not {output!r}')
    if output == "text_embeds" and tower.text_projection is None:
        raise ValueError('this encoder has no projection, so no text_embeds; use output="pooler_output"')
    return output


def warm_up(
    encoder: TextModel,
    *,
    output: str | None = None,
    normalize: bool = False,
    hidden_states: Sequence[int] | None = None,
    memory: int = GRAPH_MEMORY,
) -> int:
    """Capture on CUDA, before they are needed, the graphs of `encode` with this `output` and `normalize`.

    With `hidden_states` also those that conditioning by up to 32 prompts needs, where these hidden states are taken:
    `[]` for Stable Diffusion 1 and 2, `[-2]` for XL. Without a warm-up, a graph is captured the second time that its
    shape comes. All graphs of the encoder hold at most `memory` bytes of the device, from now on; shapes that do not
    fit run without. Returns the bytes that they hold: 0 on other devices, where there is nothing to warm up.
    """
    output = _checked_output(encoder, output)
    graphs = runner(encoder) if encoder.device.type == "cuda" else None
    if graphs is None or needs_modules(encoder, graphs):
        return 0
    graphs.memory = memory
    with torch.inference_mode(), torch.autocast("cuda", enabled=False):
        OnGpu(Computation(encoder, output, normalize, triton_kernels.chosen(encoder)), graphs).warm_up()
        if hidden_states is not None:
            warm_up_forward(encoder, hidden_states)
    return graphs.bytes()


class _Bar:
    """A tqdm bar, or nothing."""

    def __init__(self, shown: bool, total: int | None) -> None:
        self.shown, self.total = shown, total

    def update(self, texts: int) -> None:
        self._bar.update(texts)

    def __enter__(self) -> _Bar:
        if self.shown:
            from tqdm import tqdm

            self._bar = tqdm(total=self.total, unit="text", desc="encode")
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown:
            self._bar.close()


def _count(texts: Any) -> int | None:
    if hasattr(texts, "offsets"):
        return len(texts.offsets) - 1
    return len(texts) if hasattr(texts, "__len__") else None
