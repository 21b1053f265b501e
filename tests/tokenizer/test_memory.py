"""Large results: memory is used again, never while somebody has it, and rows written past the caches are right."""

import gc

import numpy as np

from cliptok import Tokenizer

TEXTS = [f"a photo of {n} cats, {n % 7} dogs{' and a bird' * (n % 40)}" for n in range(20_000)]
TEXTS[::50] = ["un café à la crème, n° 5"] * len(TEXTS[::50])


def rows_of_small_batches(tok: Tokenizer, texts: list[str]) -> "tuple[np.ndarray, np.ndarray]":
    parts = [tok.encode_batch(texts[i : i + 100], return_lengths=True) for i in range(0, len(texts), 100)]
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([lengths for _, lengths in parts])


def test_rows_past_the_caches() -> None:
    """So many that they are written past the caches, as those of batches of a hundred are not."""
    tok = Tokenizer()
    texts = TEXTS * 2
    ids, lengths = rows_of_small_batches(tok, texts)
    both = tok(texts, padding="max_length", truncation=True, return_tensors="np")
    assert both["input_ids"].nbytes >= 16 << 20
    assert np.array_equal(both["input_ids"], ids)
    assert np.array_equal(both["attention_mask"], np.arange(77) < lengths[:, None])
    for dtype in ("int32", "uint16"):
        assert np.array_equal(tok.encode_batch(texts * 3, dtype=dtype), np.concatenate([ids] * 3))


def test_memory_is_used_again_when_nobody_has_it() -> None:
    tok = Tokenizer()
    expected, _ = rows_of_small_batches(tok, TEXTS)
    first = tok.encode_batch(TEXTS)
    view = first[5:]
    place = first.ctypes.data
    del first
    others = [tok.encode_batch(["another text"] * len(TEXTS)) for _ in range(3)]
    assert all(other.ctypes.data != place for other in others)
    assert np.array_equal(view, expected[5:])
    del view, others
    gc.collect()
    again = {tok.encode_batch(TEXTS).ctypes.data for _ in range(3)}
    assert len(again) == 1  # each is gone before the next is made
    assert np.array_equal(tok.encode_batch(TEXTS), expected)


def test_packed_ids_grow_beyond_their_first_room() -> None:
    tok = Tokenizer()
    text = "éüß" * 150_000  # an id a byte or so, where a third was made room for
    packed = tok.encode_packed([text])
    assert packed.offsets.tolist() == [0, len(packed.input_ids)]
    assert packed.input_ids[1:-1].tolist() == tok.encode(text)[1:-1]
    assert len(packed.input_ids) * 4 > 1 << 20
