"""Cases that turn one knob: threads, batch size, how many captions, how long a text or a word."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from agree import agree
from case import OURS, Bar, Bench, Case, Skip, tokenizer
from inputs import corpus, spread
from measure import Contender
from peers import WIDTH, Peer

from cliptok.tokenizer.texts import available_cpus

MILLION = 1_000_000


def threads(bench: Bench) -> Case:
    """Ours by the number of threads."""
    found = bench.texts("captions")
    tok, count = tokenizer(), len(found.texts)
    cpus = available_cpus()
    contenders = []
    for dtype in ("int64", "uint16"):
        out = np.zeros((count, WIDTH), dtype)
        for n in sorted({1, 2, 4, 8, 16, 32, cpus} & set(range(1, cpus + 1))):
            run = partial(tok.encode_batch, found.texts, out=out, threads=n)
            contenders.append(Contender(f"{dtype}, {n} threads", run, count, dtype, n))
    return Case("threads", "Ours by threads, out=", "captions", contenders, source=found.source)


def batch_sizes(bench: Bench) -> Case:
    """Ours by the size of the batch, int64, a fresh array for each."""
    found = bench.texts("captions")
    tok, contenders = tokenizer(), []
    largest = bench.size(65536, 1024)
    for series, n_threads in (("one thread", 1), ("default threads", None)):
        for size in (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536):
            if size <= largest:
                total = max(size, min(largest, 4096))
                texts = spread(found.texts, total)
                batches = [texts[i : i + size] for i in range(0, total, size)]
                run = partial(_batches, tok, batches, n_threads)
                contenders.append(Contender(f"{series}, {size}", run, len(texts), series, size))
    return Case("batch-sizes", "Ours by batch size, int64, fresh", "captions", contenders, source=found.source)


def _batches(tok: Any, batches: list[list[str]], n_threads: int | None) -> None:
    for batch in batches:
        tok.encode_batch(batch, threads=n_threads)


def millions(bench: Bench) -> Case:
    """1 to 16 million captions, all different and all in memory, into one reused uint16 array of a million rows."""
    size = bench.size(MILLION, 4000)
    halves = _halves(spread(corpus("captions").texts, bench.size(1 << 30, 1000)))
    steps = [1, 2, 4, 8, 16]
    room = _available_memory() // 2
    while steps and steps[-1] * size * 200 > room:  # A caption of 63 letters is a str of about 128 bytes.
        print(f"millions: {steps.pop()} million captions would not fit into half of the free memory; left out")
    if len(steps) < 2:
        raise Skip("not enough memory")
    chunks = [_captions(halves, i * size, size) for i in range(steps[-1])]
    tok, out = tokenizer(), np.zeros((size, WIDTH), np.uint16)
    agreements = agree(bench, ("tokenizers",), spread(chunks[-1], bench.size(20_000, 500)))
    names = {n: f"{n} million" if size == MILLION else f"{n * size:,}" for n in steps}
    contenders = []
    for n in steps:
        # Another chunk each time, so that a million does not become the same million, warm in the processor's cache.
        turns = iter(range(1 << 30))
        run = partial(_chunks, tok, chunks, out, n, turns)
        contenders.append(Contender(names[n], run, n * size, OURS, n * size))
    bars = [Bar(names[1], 0.95, names[steps[-1]])]
    return Case(
        "millions", "1 to 16 million captions, uint16, out= reused", "captions", contenders, bars, agreements,
        corpus("captions").source, corpus("captions").real and steps[-1] == 16, rounds=None if bench.smoke else 5,
    )  # fmt: skip


def _chunks(tok: Any, chunks: list[list[str]], out: Any, count: int, turns: Any) -> None:
    begin = next(turns) * count
    for i in range(begin, begin + count):
        tok.encode_batch(chunks[i % len(chunks)], out=out)


def _halves(texts: list[str]) -> list[tuple[str, str]]:
    """Each text cut at the space nearest behind its middle."""
    cuts = ((text, text.find(" ", len(text) // 2)) for text in texts)
    return [(text[:cut], text[cut:]) for text, cut in cuts if cut > 0]


def _captions(halves: list[tuple[str, str]], begin: int, count: int) -> list[str]:
    """`count` captions from number `begin`: one's first half with another's second half, no pair twice."""
    n = len(halves)
    return [halves[i % n][0] + halves[(i + 1 + i // n * 7919) % n][1] for i in range(begin, begin + count)]


def _available_memory() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def text_growth(bench: Bench) -> Case:
    """One text of growing length, untruncated."""
    found = corpus("captions")
    text = " ".join(found.texts)
    limits = {OURS: 1 << 24, "instant-clip-tokenizer": 1 << 21, "kitoken": 1 << 20, "tokenizers": 1 << 18}
    return _growing(bench, "text-growth", "One text by its length", lambda n: text[:n], limits, found.source)


def word_growth(bench: Bench) -> Case:
    """One word of growing length, without a space: what merging costs."""
    letters = "".join(letter for letter in " ".join(corpus("captions").texts) if "a" <= letter <= "z")
    limits = {OURS: 1 << 20, "instant-clip-tokenizer": 1 << 14, "kitoken": 1 << 14, "tokenizers": 1 << 16}
    return _growing(
        bench, "word-growth", "One word by its length", lambda n: letters[:n], limits, "letters of captions"
    )


def _growing(
    bench: Bench, name: str, title: str, text: Callable[[int], str], limits: dict[str, int], source: str
) -> Case:
    tok, contenders = tokenizer(), []
    longest = len(text(limits[OURS]))
    for series, limit in limits.items():
        peer: Peer | None = None if series == OURS else bench.peer(series)
        if series != OURS and peer is None:
            continue
        for n in (1 << power for power in range(8, 26, 2)):
            if n <= min(limit, longest, 1 << 30 if not bench.smoke else 1 << 12):
                part = text(n)
                run = partial(tok.encode_packed, [part]) if peer is None else partial(peer.one, part)
                contenders.append(Contender(f"{series}, {n:,} bytes", run, n, series, n))
    return Case(name, title, "bytes", contenders, source=source, rounds=None if bench.smoke else 3)
