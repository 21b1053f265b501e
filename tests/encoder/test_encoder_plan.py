"""The plan against the sets that it stands for."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptok.encoder.sharing.plan import build_batch, sort_window, split_batches
from support.towers import Packed


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(st.integers(0, 300), min_size=1, max_size=9) | st.lists(st.just(256), min_size=1, max_size=9),
        min_size=1,
    ),
    st.integers(1, 40),
    st.sampled_from([1, 4, 32]),
)
def test_plan_is_the_trie_of_its_rows(rows, budget, chunk):
    packed = Packed(rows)
    window = sort_window(packed.input_ids, packed.offsets)
    distinct = sorted({tuple(row) for row in rows})
    assert [tuple(r[:n]) for r, n in zip(window.rows.tolist(), window.lengths, strict=True)] == distinct
    assert [distinct[i] for i in window.inverse] == [tuple(row) for row in rows]
    seen = []
    for start, stop in split_batches(window, budget):
        batch = build_batch(window, start, stop, chunk)
        prefixes = {row[: n + 1] for row in distinct[start:stop] for n in range(len(row))}
        assert batch.nodes == len(prefixes) and (batch.nodes <= budget or stop == start + 1)
        # Rebuild every node's text from what attention may see of it, and compare with the trie of the rows.
        padded = batch.shape.padded
        pairs = list(zip(batch.tokens, batch.positions, strict=True))
        assert len(pairs) < len(set(pairs)) + chunk
        tokens, positions = batch.tokens[batch.pair], batch.positions[batch.pair]
        own = np.arange(padded).reshape(-1, chunk)
        ancestors = [row for group in batch.ancestors for row in group]
        keys = [[*a, *b] for a, b in zip(ancestors, own, strict=True)]
        assert {len(row) % 32 for row in keys} == {0}
        number, end = np.append(batch.number, 0), np.append(batch.subtree_end, 0)
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
        assert [texts[node] for node in batch.eos_nodes] == distinct[start:stop]
        assert all(end[node] == number[node] + 1 for node in range(padded) if node not in texts)
        seen.extend(batch.outputs)
    assert seen == list(range(len(distinct)))
