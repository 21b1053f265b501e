"""The plan against the sets that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptok.encoder.sharing.plan import CanonicalSize, Window, build_batch, build_canonical, row_nodes
from support import plan_twin as twin
from support.towers import Packed

rows_of_ids = st.lists(
    (st.lists(st.integers(0, 300), max_size=9) | st.lists(st.just(256), max_size=9)).map(lambda row: [*row, END]),
    min_size=1,
)
END = 301


def window_of(rows, positions=77):
    packed = Packed(rows)
    return Window(packed.input_ids, packed.offsets, END, positions, 302, 0)


def same(batch, expected):
    """As the twin has it."""
    assert batch.packed.tolist() == expected.packed.tolist() and batch.shape == expected.shape
    assert (batch.start, batch.stop, batch.nodes) == (expected.start, expected.stop, expected.nodes)


def check_batch(batch, distinct):
    """Rebuild every node's text from what attention may see of it, and compare with the trie of the rows."""
    texts_of_batch = distinct[batch.start : batch.stop]
    prefixes = {row[: n + 1] for row in texts_of_batch for n in range(len(row))}
    assert batch.nodes == len(prefixes) and batch.packed.dtype == torch.int32
    chunk, padded = batch.shape.chunk, batch.shape.padded
    tokens, positions, pair, number, end, *groups, eos = (part.numpy() for part in batch.parts())
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
    window, slow = window_of(rows), twin.sort_window(packed.input_ids, packed.offsets)
    distinct = sorted({tuple(row) for row in rows})
    assert window.lengths().tolist() == [len(row) for row in distinct] and len(window) == len(distinct)
    assert [distinct[i] for i in window.inverse()] == [tuple(row) for row in rows]
    assert window.split(budget) == list(twin.split_batches(slow, budget))
    seen = []
    for start, stop in window.split(budget):
        batch = build_batch(window, start, stop, chunk)
        same(batch, twin.build_batch(slow, start, stop, chunk))
        tokens, _, pair, *_, eos = (part.numpy() for part in batch.parts())
        for row, nodes, end in zip(distinct[start:stop], row_nodes(window, batch), eos, strict=True):
            assert tuple(tokens[pair[nodes[: len(row)]]]) == row and nodes[len(row) - 1] == end
        assert batch.nodes <= budget or stop == start + 1
        check_batch(batch, distinct)
        seen.extend(range(batch.start, batch.stop))
    assert seen == list(range(len(distinct)))


SIZES = (CanonicalSize(16, 4), CanonicalSize(32, 4), CanonicalSize(64, 16), CanonicalSize(64, 32))


@settings(max_examples=150, deadline=None)
@given(rows_of_ids)
def test_canonical_batches_are_the_same_tries_in_few_shapes(rows):
    packed = Packed(rows)
    window, slow = window_of(rows), twin.sort_window(packed.input_ids, packed.offsets)
    distinct = sorted({tuple(row) for row in rows})
    assert window.split_canonical(SIZES) == list(twin.split_canonical(slow, SIZES))
    seen, shapes = [], set()
    for start, stop, size in window.split_canonical(SIZES):
        size = CanonicalSize(*size)
        batch = build_canonical(window, start, stop, size, chunk=16, slots=16)
        same(batch, twin.build_canonical(slow, start, stop, size, chunk=16, slots=16))
        assert batch.shape.padded == size.nodes and batch.shape.eos == size.eos >= stop - start
        shapes.add(batch.shape)
        check_batch(batch, distinct)
        seen.extend(range(batch.start, batch.stop))
    assert seen == list(range(len(distinct))) and len(shapes) <= len(SIZES)


def test_little_padding_is_computed():
    """Except where a GPU is not full anyway."""
    sizes = [CanonicalSize(1 << n, 1 << n - 1) for n in range(7, 15)]
    for texts in (100, 700, 1400, 3000, 9000):
        window = window_of([[1, 2, n % 300, 3, n // 300, 4, 5, 6, 7, END] for n in range(texts)])
        batches = window.split_canonical(sizes)
        nodes = sum(build_batch(window, start, stop, 1).nodes for start, stop, _ in batches)
        assert sum(size[0] for _, _, size in batches) <= max(nodes * 4 / 3 + 128, 2048)


def test_ids_too_large_for_a_sort_key_are_in_order_too():
    rows = [[1, big, n, 7] for n in range(3) for big in (1 << 22, 1 << 21, (1 << 22) + 1)]
    packed = Packed(rows)
    window = Window(packed.input_ids, packed.offsets, 7, 77, 1 << 23, 0)
    distinct = sorted(map(tuple, rows))
    assert [distinct[i] for i in window.inverse()] == [tuple(row) for row in rows]


def test_texts_end_behind_their_first_end_of_sequence():
    rows = [[5, END, 6, END], [5, END], [5, 6, END]]
    window = window_of(rows)
    assert window.inverse().tolist() == [1, 1, 0] and window.lengths().tolist() == [3, 2]
    packed = Packed(rows)
    whole = Window(packed.input_ids, packed.offsets, None, 4, 302, 0)
    assert whole.inverse().tolist() == [2, 1, 0] and whole.lengths().tolist() == [3, 2, 4]
    with pytest.raises(ValueError, match="texts row 7 has no ids"):
        Window(packed.input_ids, np.array([0, 0]), None, 4, 302, 7)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[5, END], [5, 6]], "texts row 1 has no end-of-text id"),
        ([[5, END], []], "texts row 1 has no end-of-text id"),
        ([[5] * 9 + [END], [5] * 10 + [END]], "texts row 1 has 11 ids but the encoder has 10 positions"),
        ([[5, END], [302, END]], "texts have the id 302 but the encoder's vocabulary has 302 entries"),
        ([[-1, END]], "texts have the id -1 but"),
    ],
)
def test_bad_texts(rows, message):
    with pytest.raises(ValueError, match=message):
        window_of(rows, positions=10)


def test_bad_arguments_of_the_engine():
    ids = np.array([5, END], dtype=np.int32)
    for offsets in ([0, 3], [1, 0], [-1, 2]):
        with pytest.raises(ValueError, match="offsets must ascend from 0 to at most 2"):
            Window(ids, np.array(offsets), END, 77, 302, 0)
    window = window_of([[5, END]])
    for start, stop, chunk in ((0, 2, 1), (0, 0, 1), (0, 1, 0)):
        with pytest.raises(ValueError, match=r"of a window of 1 rows"):
            window.build(start, stop, chunk)
    with pytest.raises(ValueError, match="out has 3 places; expected"):
        window.build_canonical(0, 1, (16, 4), 16, 16, np.zeros(3, dtype=np.int32))
    with pytest.raises(ValueError, match="3 nodes and 1 texts do not fit"):
        window_of([[5, 6, END]]).build_canonical(0, 1, (2, 1), 1, 16, np.zeros(4 * 2 + 2 * 16 + 1, dtype=np.int32))
    with pytest.raises(ValueError, match="a text has 70 tokens but a batch at most 64 nodes"):
        window_of([[*range(69), END]]).split_canonical(SIZES)
