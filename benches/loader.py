"""The training loader: batches per second through torch's DataLoader, whose workers do nothing but text."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from agree import IdsDifferError
from case import OURS, Bar, Bench, Case, Skip, tokenizer
from measure import Contender
from peers import WIDTH

WORKERS = 2
BATCH, SMALL_BATCH = 256, 32
AHEAD = 16
"""Batches that are taken before the clock starts: more than the workers make ahead."""

Collate = Callable[[list[str]], Any]


def loader(bench: Bench) -> Case:
    """Batches that keep a GPU busy."""
    return _loader(bench, "loader", BATCH, [Bar("transformers", 20), Bar("open_clip", 20, f"{OURS} open_clip")])


def loader_of_32(bench: Bench) -> Case:
    """Batches of fine-tuning, of which the loader's own work is most."""
    return _loader(bench, "loader-32", SMALL_BATCH, [])


def _loader(bench: Bench, name: str, size: int, bars: list[Bar]) -> Case:
    """One loop, the collate_fn changed. Each peer beside the profile with its ids; with a mask where the peer has one.

    Peers tokenize whole batches there, which is faster than the usual text by text in the dataset. The workers are
    forked, their start is not timed. `(zeros)` tokenizes nothing: what DataLoader itself costs for such batches;
    `(nothing)`: without any tensor.
    """
    try:
        import torch

        from cliptok.data import Collator
    except ImportError as error:
        raise Skip(str(error)) from None
    texts = bench.texts("captions").texts
    masked = Collator(tokenizer(), attention_mask=True)
    cleaned = Collator(tokenizer("open_clip"))
    ways: list[tuple[str, Collate, int]] = [(OURS, masked, 2000), (f"{OURS} open_clip", cleaned, 2000)]
    for which, own in (("transformers", masked), ("open_clip", cleaned)):
        peer = bench.peer(which)
        if peer is not None:
            _check(texts, size, own, peer.torch)
            ways.append((which, peer.torch, 40 * BATCH // size))
    ways.append(("(nothing)", len, 2000))
    ways.append(("(zeros)", lambda batch: torch.zeros((len(batch), WIDTH), dtype=torch.int64), 2000))
    contenders = []
    for which, collate, batches in ways:
        count = bench.size(batches, 20)
        contenders.append(Contender(which, partial(_seconds, texts, size, collate, count), count, reports=True))
    title = f"DataLoader, {WORKERS} workers, batches of {size} captions"
    found = bench.texts("captions")
    return Case(name, title, "batches", contenders, bars, source=found.source, judged=found.real)


class _Captions:
    """So many captions, round and round."""

    def __init__(self, texts: list[str], count: int) -> None:
        self.texts, self.count = texts, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> str:
        return self.texts[number % len(self.texts)]


def _batches(texts: list[str], size: int, collate: Collate, count: int) -> Iterator[Any]:
    from torch.utils.data import DataLoader

    data: Any = _Captions(texts, size * count)
    return iter(DataLoader(data, size, collate_fn=collate, num_workers=WORKERS, worker_init_fn=_one_thread))


def _one_thread(worker: int) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # tokenizers' threads do not survive a fork.


def _seconds(texts: list[str], size: int, collate: Collate, count: int) -> float:
    """What `count` batches take in the middle of an epoch."""
    batches = _batches(texts, size, collate, AHEAD + count)
    for _ in range(AHEAD):
        next(batches)
    begin = perf_counter()
    for _ in range(count):
        next(batches)
    return perf_counter() - begin


def _check(texts: list[str], size: int, ours: Collate, theirs: Collate) -> None:
    """Raises IdsDifferError where loaders give other batches."""
    for own, other in zip(_batches(texts, size, ours, AHEAD), _batches(texts, size, theirs, AHEAD), strict=True):
        pairs = [(own[name], other[name]) for name in own] if isinstance(own, dict) else [(own, other)]
        if not all(np.array_equal(a, b) for a, b in pairs):
            raise IdsDifferError("the batches of two loaders")
