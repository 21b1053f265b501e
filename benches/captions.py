"""Cases on batches: many texts, each cut at 77 ids, to an array or a tensor."""

from typing import Any

import numpy as np
from agree import IdsDifferError, agree
from case import GIGATOKEN, OURS, Bar, Bench, Case, Skip, tokenizer
from inputs import SCRIPTS, available, corpus, lines_of, utf8_size
from measure import Contender
from peers import WIDTH


def to_torch(bench: Bench) -> Case:
    """A list to int64 tensors with the mask, by the call that both libraries share."""
    import torch

    found = bench.texts("captions")
    texts, tok = found.texts, tokenizer()

    def ours() -> Any:
        return tok(texts, padding="max_length", max_length=WIDTH, truncation=True, return_tensors="pt")

    rows, lengths = tok.encode_batch(texts, return_lengths=True)
    mask = torch.from_numpy((np.arange(WIDTH) < lengths[:, None]).astype(np.int64))
    both = ours()
    if not (torch.equal(both["input_ids"], torch.from_numpy(rows)) and torch.equal(both["attention_mask"], mask)):
        raise IdsDifferError("cliptok's call and its encode_batch")
    names = ("transformers", "open_clip")
    agreements = agree(bench, names, texts)
    contenders = [
        Contender(OURS, ours, len(texts)),
        *bench.against(names, texts, lambda peer, some: peer.torch(some)),
    ]
    bars = [Bar("transformers", 500)]
    return Case(
        "torch", "List of captions to torch int64 (n, 77), mask too", "captions", contenders, bars, agreements,
        found.source, found.real,
    )  # fmt: skip


def to_int64(bench: Bench) -> Case:
    """A list to ids alone. Beside the peers, what it costs just to fill such an array."""
    found = bench.texts("captions")
    texts, tok = found.texts, tokenizer()
    names = ("tokenizers", "instant-clip-tokenizer", "kitoken")
    agreements = agree(bench, names, texts)
    old = np.zeros((len(texts), WIDTH), np.int64)
    contenders = [
        Contender(OURS, lambda: tok.encode_batch(texts), len(texts)),
        Contender(f"{OURS} out=", lambda: tok.encode_batch(texts, out=old), len(texts)),
        Contender(f"{OURS} one thread, out=", lambda: tok.encode_batch(texts, out=old, threads=1), len(texts)),
        Contender(f"{OURS} encode_packed", lambda: tok.encode_packed(texts, WIDTH), len(texts)),
        *bench.against((*names, GIGATOKEN), texts, lambda peer, some: peer.rows(some)),
        Contender("(numpy.full, fresh)", lambda: np.full((len(texts), WIDTH), 49407, np.int64), len(texts)),
        Contender("(numpy fill, reused)", lambda: old.fill(49407), len(texts)),
    ]
    bars = [Bar("tokenizers", 200), Bar("instant-clip-tokenizer", 20), Bar(GIGATOKEN, 4.5)]
    return Case(
        "int64", "List of captions to int64 (n, 77), ids only", "captions", contenders, bars, agreements,
        found.source, found.real,
    )  # fmt: skip


def to_dtypes(bench: Bench) -> Case:
    """The narrower dtypes, fresh and reused."""
    found = bench.texts("captions")
    texts, tok = found.texts, tokenizer()
    expected = tok.encode_batch(texts)
    contenders = []
    for dtype in ("int32", "uint16"):
        old = np.zeros((len(texts), WIDTH), dtype)
        contenders += [
            Contender(f"{OURS} {dtype}", _fresh(tok, texts, dtype), len(texts)),
            Contender(f"{OURS} {dtype} out=", _reused(tok, texts, old), len(texts)),
        ]
        if not (np.array_equal(tok.encode_batch(texts, dtype=dtype), expected)
                and np.array_equal(tok.encode_batch(texts, out=old), expected)):  # fmt: skip
            raise IdsDifferError(f"cliptok's int64 and {dtype}")
    contenders += bench.against((GIGATOKEN,), texts, lambda peer, some: peer.rows(some))
    return Case(
        "dtypes", "List of captions to int32 and uint16 (n, 77)", "captions", contenders,
        source=found.source, judged=found.real,
    )  # fmt: skip


def _fresh(tok: Any, texts: Any, dtype: str) -> Any:
    return lambda: tok.encode_batch(texts, dtype=dtype)


def _reused(tok: Any, texts: Any, out: Any) -> Any:
    return lambda: tok.encode_batch(texts, out=out)


def from_arrow(bench: Bench) -> Case:
    """An Arrow column into a reused int32 array. gigatoken gets its own column form, an awkward array, and the list."""
    try:
        import pyarrow as pa
    except ImportError:
        raise Skip("pyarrow is not installed") from None
    found = bench.texts("captions")
    texts, tok = found.texts, tokenizer()
    column = pa.array(texts, pa.string())
    old = np.zeros((len(texts), WIDTH), np.int32)
    try:
        tok.encode_batch(column, out=old)
    except TypeError as error:
        raise Skip(f"encode_batch does not take an Arrow column yet ({error})") from None
    if not np.array_equal(old, tok.encode_batch(texts)):
        raise IdsDifferError("cliptok's list and Arrow column")
    contenders = [
        Contender(OURS, _reused(tok, column, old), len(texts)),
        Contender(f"{OURS} large_string", _reused(tok, column.cast(pa.large_string()), old), len(texts)),
        Contender(f"{OURS} string_view", _reused(tok, column.cast(pa.string_view()), old), len(texts)),
        Contender(f"{OURS} int64, fresh", lambda: tok.encode_batch(column), len(texts)),
        *bench.against((GIGATOKEN,), texts, lambda peer, some: peer.rows(some)),
    ]
    gigatoken, bars = bench.peer(GIGATOKEN), [Bar(GIGATOKEN, 6)]
    if gigatoken is not None:
        import awkward as ak

        name, own = f"{GIGATOKEN} awkward", ak.Array(texts)
        contenders.append(Contender(name, lambda: gigatoken.rows(own), len(texts)))
        bars.append(Bar(name, 6))
    return Case(
        "arrow", "Arrow column of captions to int32 (n, 77), out=", "captions", contenders, bars,
        source=found.source, judged=found.real,
    )  # fmt: skip


ROWS = ("tokenizers", "instant-clip-tokenizer", "kitoken")


def _kind(bench: Bench, kind: str, name: str, title: str, bars: list[Bar]) -> Case:
    found = bench.texts(kind)
    texts, tok = found.texts, tokenizer()
    agreements = agree(bench, ROWS, texts)
    out = np.zeros((len(texts), WIDTH), np.int64)
    contenders = [
        Contender(OURS, lambda: tok.encode_batch(texts), len(texts)),
        Contender(f"{OURS} out=", lambda: tok.encode_batch(texts, out=out), len(texts)),
        *bench.against((*ROWS, GIGATOKEN), texts, lambda peer, some: peer.rows(some)),
    ]
    return Case(name, title, "texts", contenders, bars, agreements, found.source, found.real)


def long_prompts(bench: Bench) -> Case:
    """Prompts of image generators, many of which are cut."""
    return _kind(bench, "long prompts", "long-prompts", "Long prompts to int64 (n, 77)", [])


def multilingual(bench: Bench) -> Case:
    """Captions and sentences in many languages."""
    return _kind(bench, "multilingual", "multilingual", "Multilingual to int64 (n, 77)", [Bar("tokenizers", 45)])


def dirty(bench: Bench) -> Case:
    """Tweets, emoji, mojibake and strings meant to break things."""
    return _kind(bench, "dirty", "dirty", "Dirty text to int64 (n, 77)", [])


def dirty_cleaned(bench: Bench) -> Case:
    """The same through ftfy and html, as open_clip has it."""
    found = bench.texts("dirty", smoke=500)
    texts, tok = found.texts, tokenizer("open_clip")
    agreements = agree(bench, ("open_clip",), texts)
    contenders = [
        Contender(OURS, lambda: tok.encode_batch(texts), len(texts)),
        *bench.against(("open_clip",), texts, lambda peer, some: peer.torch(some)),
    ]
    return Case(
        "dirty-cleaned", "Dirty text cleaned by ftfy, profile open_clip", "texts", contenders, [], agreements,
        found.source, found.real, rounds=None if bench.smoke else 3,
    )  # fmt: skip


def scripts(bench: Bench) -> Case:
    """Ours on one thread by script, per byte: how far other text falls behind ASCII."""
    if not available():
        raise Skip("it needs the corpora")
    tok, contenders = tokenizer(), []
    kinds = {"English": corpus("captions").texts[:20_000]} | {
        name: list(lines_of(file)) for name, file in SCRIPTS.items()
    }
    for name, texts in kinds.items():
        some = texts[:500] if bench.smoke else texts
        contenders.append(
            Contender(name, lambda some=some: tok.encode_packed(some, threads=1), utf8_size(some))  # type: ignore[misc]
        )
    return Case("scripts", "Ours by script, one thread, untruncated", "bytes", contenders, compared=False)
