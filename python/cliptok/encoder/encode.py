"""`TextEncoder.encode`: pooled embeddings of many texts, with no padding and no common prefix computed twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cliptok._common.prefetch import prefetch
from cliptok.encoder.sharing.attention import NodeBatch
from cliptok.encoder.sharing.graphs import GRAPH_TOKENS, GraphedNodes
from cliptok.encoder.sharing.linear_layers import Workspace, compute_dtype
from cliptok.encoder.sharing.nodes import encode_nodes
from cliptok.encoder.sharing.plan import Batch, Window, build_batch, split_batches
from cliptok.encoder.sharing.stream import is_lazy, windows

if TYPE_CHECKING:
    from cliptok.encoder.model import TextModel

# Texts sorted together: more share more prefixes, and cost their tokens and embeddings in memory.
WINDOW = 16384


class Sizes(NamedTuple):
    """How much a device takes at once."""

    budget: int  # nodes per batch: a CPU's cache should hold their activations, a GPU wants enough rows to fill it
    chunk: int  # nodes that attend together: small ones waste less on the mask, large ones repeat fewer ancestors
    per_layer: int  # nodes that go through a layer, batch after batch, while its weights are in a CPU's cache


CPU = Sizes(budget=1024, chunk=16, per_layer=8192)
CUDA = Sizes(budget=16384, chunk=64, per_layer=1)


def sizes_of(device: torch.device) -> Sizes:
    return CUDA if device.type == "cuda" else CPU


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
    progress: bool = False,
) -> Tensor | Iterator[Tensor]:
    """Embeddings of `texts`, in input order, on the encoder's device and in its dtype.

    A `str`, a sequence, an Arrow or pandas column, or packed tokens give a tensor (n, d). Any other iterable, which may
    be larger than memory, gives an iterator of tensors (m, d), m at most `window`, and memory stays constant.

    `tokenizer` defaults to `cliptok.Tokenizer()`; texts longer than the encoder's positions are truncated. `output` is
    "text_embeds" (the default where there is a projection) or "pooler_output". `normalize` divides by the length.
    `window` texts are sorted together and identical texts and common prefixes in it are computed once; a batch has
    at most `budget` tokens of that. `progress` shows a tqdm bar.

    A row is the same whatever else is encoded with it, up to floating-point rounding. `batch_invariant=True` makes it
    the same bit for bit, for one encoder, device, dtype and thread count, by computing each distinct text alone: it
    costs the sharing and the large matrix products. Raises ValueError for a text without end-of-text id, for ids
    outside the vocabulary and for an output that the encoder does not have; TypeError for layers that are wrapped.
    """
    if output is None:
        output = "pooler_output" if encoder.text_projection is None else "text_embeds"
    if output not in ("text_embeds", "pooler_output"):
        raise ValueError(f'output must be "text_embeds" or "pooler_output", not {output!r}')
    if output == "text_embeds" and encoder.text_projection is None:
        raise ValueError('this encoder has no projection, so no text_embeds; use output="pooler_output"')
    for name, value in (("window", window), ("budget", budget)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    _check_plain(encoder)
    if tokenizer is None and not hasattr(texts, "offsets"):
        from cliptok import Tokenizer

        tokenizer = Tokenizer()
    if isinstance(texts, str):
        texts = [texts]
    total = None if is_lazy(texts) else _count(texts)
    config = encoder.config
    sorted_windows = windows(texts, tokenizer, window, config.end_id, config.positions, config.vocabulary)
    run = _Run(encoder, output, normalize)
    blocks = _encode_windows(encoder, sorted_windows, run, budget, batch_invariant, _Bar(progress, total))
    if is_lazy(texts):
        return blocks
    width = run.width
    found = list(blocks)
    if not found:
        return torch.empty(0, width, dtype=encoder.dtype, device=encoder.device)
    return found[0] if len(found) == 1 else torch.cat(found)


class _Run:
    """Batches in, rows of the wanted output out."""

    def __init__(self, encoder: TextModel, output: str, normalize: bool) -> None:
        self.encoder, self.normalize = encoder, normalize
        self.projection = encoder.text_projection if output == "text_embeds" else None
        self.width = encoder.config.width if self.projection is None else self.projection.out_features
        self.dtype = compute_dtype(encoder.dtype, encoder.device)
        self.work = Workspace()
        self.graphed = GraphedNodes(encoder, self.dtype) if encoder.device.type == "cuda" else None

    @torch.inference_mode()
    def __call__(self, batches: list[Batch]) -> Tensor:
        if self.graphed is not None and len(batches) == 1 and batches[0].shape.padded <= GRAPH_TOKENS:
            pooled = [self.graphed(batches[0])]
        else:
            heads, device = self.encoder.config.heads, self.encoder.device
            nodes = [NodeBatch.of(batch, heads, self.dtype, device) for batch in batches]
            pooled = encode_nodes(self.encoder, nodes, self.work)
        # Batch by batch to the end: a GEMM's rounding may depend on its number of rows.
        return torch.cat([self._output(rows) for rows in pooled])

    def _output(self, pooled: Tensor) -> Tensor:
        if self.projection is not None:
            pooled = pooled @ self.projection.weight.to(self.dtype).t()
        if self.normalize:
            pooled = F.normalize(pooled, dim=-1)
        return pooled.to(self.encoder.dtype)


def _check_plain(encoder: TextModel) -> None:
    """`encode` reads weights itself: a layer that something else wrapped would be passed over in silence."""
    for name, module in encoder.named_modules():
        if hasattr(module, "weight") and type(module) not in (nn.Linear, nn.LayerNorm, nn.Embedding):
            raise TypeError(
                f"encode cannot see what {type(module).__module__}.{type(module).__name__} does at {name}; merge the "
                "adapter into the weights first, or use the forward pass"
            )


def _batches(window: Window, budget: int, chunk: int, alone: bool) -> Iterator[Batch]:
    if not alone:
        for start, stop in split_batches(window, budget):
            yield build_batch(window, start, stop, chunk)
        return
    for row, length in enumerate(window.lengths.tolist()):
        # One chunk of the whole text: every shape depends on the text alone.
        yield build_batch(window, row, row + 1, -(-length // 8) * 8)


def _group(batches: Iterable[Batch], nodes: int) -> Iterator[list[Batch]]:
    """Consecutive batches of at least `nodes` nodes together."""
    group: list[Batch] = []
    held = 0
    for batch in batches:
        group.append(batch)
        held += batch.nodes
        if held >= nodes:
            yield group
            group, held = [], 0
    if group:
        yield group


def _encode_windows(
    encoder: TextModel, planned: Iterable[Window], run: _Run, budget: int | None, alone: bool, bar: Any
) -> Iterator[Tensor]:
    device = encoder.device
    sizes = sizes_of(device)
    with bar:
        for window in prefetch(planned):
            distinct = torch.empty(len(window.lengths), run.width, dtype=encoder.dtype, device=device)
            copies = torch.from_numpy(window.inverse)
            repeats = torch.bincount(copies, minlength=len(distinct)).cumsum(0).tolist() if bar.shown else []
            each = _batches(window, budget or sizes.budget, sizes.chunk, alone)
            for batches in prefetch(_group(each, sizes.per_layer), depth=2):
                start, stop = int(batches[0].outputs[0]), int(batches[-1].outputs[-1]) + 1
                distinct[start:stop] = run(batches)
                if bar.shown:
                    bar.update(repeats[stop - 1] - (repeats[start - 1] if start else 0))
            yield distinct[copies.to(device, non_blocking=True)]


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
