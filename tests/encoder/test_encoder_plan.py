"""The plan against the sets that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptok.encoder.sharing.plan import (
    CanonicalSize,
    build_batch,
    build_canonical,
    sort_window,
    split_batches,
    split_canonical,
)
from support.towers import Packed

rows_of_ids = st.lists(
    st.lists(st.integers(0, 300), min_size=1, max_size=9) | st.lists(st.just(256), min_size=1, max_size=9), min_size=1
)


def check_batch(batch, distinct):
    """Rebuild every node's text from what attention may see of it, and compare with the trie of the rows."""
    texts_of_batch = distinct[batch.start : batch.stop]
    prefixes = {row[: n + 1] for row in texts_of_batch for n in range(len(row))}
    assert batch.nodes == len(prefixes) and batch.packed.dtype == np.int32
    chunk, padded = batch.shape.chunk, batch.shape.padded
    tokens, positions, pair, number, end, *groups, eos = batch.parts()
    if batch.shape.pairs:
        assert len(tokens) < len(set(zip(tokens, positions, strict=True))) + chunk
        tokens, positions = tokens[pair], positions[pair]
    ancestors = [row for group, shape in zip(groups, batch.shape.groups, strict=True) for row in group.reshape(shape)]
    keys = [[*a, *b] for a, b in zip(ancestors, np.arange(padded).reshape(-1, chunk), strict=True)]
    assert {len(row) % 32 for row in keys} == {0}
    number, end = np.append(number, 0), np.append(end, 0)
    real = [node for node in range(padded) if number[node] < batch.nodes]
    assert sorted(number[real]) == list(range(batch.nodes))
    texts = {}
    for node in real:
        visible = [k for k in keys[node // chunk] if number[k] <= number[node] < end[k]]
        assert len(visible) == len(set(visible))
        visible.sort(key=lambda k: positions[k])
        assert [positions[k] for k in visible] == list(range(len(visible)))
        texts[node] = tuple(int(tokens[k]) for k in visible)
    assert len(texts) == len(prefixes) and set(texts.values()) == prefixes
    assert [texts[node] for node in eos[: len(texts_of_batch)]] == texts_of_batch
    assert not eos[len(texts_of_batch) :].any()
    assert all(end[node] == number[node] + 1 for node in range(padded) if node not in texts)


@settings(max_examples=150, deadline=None)
@given(rows_of_ids, st.integers(1, 40), st.sampled_from([1, 4, 32]))
def test_plan_is_the_trie_of_its_rows(rows, budget, chunk):
    packed = Packed(rows)
    window = sort_window(packed.input_ids, packed.offsets)
    distinct = sorted({tuple(row) for row in rows})
    assert [tuple(r[:n]) for r, n in zip(window.rows.tolist(), window.lengths, strict=True)] == distinct
    assert [distinct[i] for i in window.inverse] == [tuple(row) for row in rows]
    seen = []
    for start, stop in split_batches(window, budget):
        batch = build_batch(window, start, stop, chunk)
        assert batch.nodes <= budget or stop == start + 1
        check_batch(batch, distinct)
        seen.extend(range(batch.start, batch.stop))
    assert seen == list(range(len(distinct)))


SIZES = (CanonicalSize(16, 4), CanonicalSize(32, 4), CanonicalSize(64, 16), CanonicalSize(64, 32))


@settings(max_examples=150, deadline=None)
@given(rows_of_ids)
def test_canonical_batches_are_the_same_tries_in_few_shapes(rows):
    packed = Packed(rows)
    window = sort_window(packed.input_ids, packed.offsets)
    distinct = sorted({tuple(row) for row in rows})
    seen, shapes = [], set()
    for start, stop, size in split_canonical(window, SIZES):
        batch = build_canonical(window, start, stop, size, chunk=16, slots=16)
        assert batch.shape.padded == size.nodes and batch.shape.eos == size.eos >= stop - start
        shapes.add(batch.shape)
        check_batch(batch, distinct)
        seen.extend(range(batch.start, batch.stop))
    assert seen == list(range(len(distinct))) and len(shapes) <= len(SIZES)


def test_little_padding_is_computed():
    """Except where a GPU is not full anyway."""
    sizes = tuple(CanonicalSize(1 << n, 1 << n - 1) for n in range(7, 15))
    for texts in (100, 700, 1400, 3000, 9000):
        packed = Packed([[1, 2, n, 3, n, 4, 5, 6, 7, 8] for n in range(texts)])
        window = sort_window(packed.input_ids, packed.offsets)
        nodes = sum(
            int((window.lengths - window.shared)[start:stop].sum()) for start, stop, _ in split_canonical(window, sizes)
        )
        padded = sum(size.nodes for _, _, size in split_canonical(window, sizes))
        assert padded <= max(nodes * 4 / 3 + 128, 2048)


def test_a_row_longer_than_every_size_is_refused():
    packed = Packed([list(range(70))])
    with pytest.raises(ValueError, match="a text has 70 tokens but a batch at most 64 nodes"):
        list(split_canonical(sort_window(packed.input_ids, packed.offsets), SIZES))
