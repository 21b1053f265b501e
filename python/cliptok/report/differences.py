"""Texts that two tokenizers give other ids, and what they read differently."""

from collections import Counter
from collections.abc import Callable
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cliptok.report.sample import Sample

if TYPE_CHECKING:
    import numpy.typing as npt

    from cliptok.tokenizer.bulk import PackedTokens
    from cliptok.tokenizer.tokenizer import Tokenizer

_LOOKED_AT = 500
LONGEST = 400
"""Characters of a text that are looked at: matching takes the square, or for repetitions more."""


class Difference(NamedTuple):
    """The ids of the same place of a text by two tokenizers, with the token before it where there are none in one."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    texts: int
    """Of the sample."""
    example: str


class Differences:
    """Counts them all, and keeps a sample to look at closely.

    Where the vocabularies differ, tokens are compared by what they are, not by their ids.
    """

    def __init__(self, first: "Tokenizer", second: "Tokenizer") -> None:
        self.texts = 0
        self.pair = (first, second)
        self._sample: Sample[str] = Sample(_LOOKED_AT)
        self._same_ids = _ids_in(first, second)

    def add(self, first: "PackedTokens", second: "PackedTokens", text: Callable[[int], str]) -> None:
        """Compare the ids of some texts, untruncated; `text` gives the text of a row."""
        if self._same_ids is not None:
            second = second._replace(input_ids=self._same_ids[second.input_ids])
        rows = _unequal_rows(first, second)
        self.texts += len(rows)
        self._sample.offer(rows, lambda row: text(row)[:LONGEST])

    def most_frequent(self, count: int) -> tuple[int, list[Difference]]:
        """The size of the sample, and what differs in most of its texts, each with the shortest text that has it."""
        texts = self._sample.items()
        counts: Counter[tuple[tuple[int, ...], tuple[int, ...]]] = Counter()
        examples: dict[Any, str] = {}
        for text in texts:
            for places in _unequal_places(self.pair[0].encode(text), self.pair[1].encode(text), self._same_ids):
                counts[places] += 1
                examples[places] = min(examples.get(places, text), text, key=len)
        most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:count]
        return len(texts), [Difference(*places, times, examples[places]) for places, times in most]


def _unequal_rows(a: "PackedTokens", b: "PackedTokens") -> "npt.NDArray[Any]":
    lengths, others = np.diff(a.offsets), np.diff(b.offsets)
    unequal: npt.NDArray[np.bool_] = lengths != others
    # Of rows as long as each other, each id; the two selections then have the same places.
    same = a.input_ids[np.repeat(~unequal, lengths)] == b.input_ids[np.repeat(~unequal, others)]
    rows = np.repeat(np.arange(len(lengths)), np.where(unequal, 0, lengths))
    unequal[rows[~same]] = True
    found: npt.NDArray[np.int64] = unequal.nonzero()[0]
    return found


def _ids_in(first: "Tokenizer", second: "Tokenizer") -> "npt.NDArray[np.int32] | None":
    """For each id of the second tokenizer the first's id of the same token; one of its own where there is none.

    None where all ids are the same.
    """
    known, others = first.get_vocab(), second.get_vocab()
    found = -1 - np.arange(max(others.values()) + 1, dtype=np.int32)
    for token, id in others.items():
        if token in known:
            found[id] = known[token]
    for end in ("start_id", "end_id"):  # Profiles have names of their own for them.
        found[getattr(second._tokens, end)] = getattr(first._tokens, end)
    there = np.array(sorted(others.values()))
    return None if (found[there] == there).all() else found


def _unequal_places(
    a: list[int], b: list[int], same: "npt.NDArray[np.int32] | None"
) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    places = set()
    alike = b if same is None else same[b].tolist()
    for tag, i, j, k, m in SequenceMatcher(None, a, alike, autojunk=False).get_opcodes():
        before = tag in ("insert", "delete")  # Nothing precedes the start token, which both have.
        if tag != "equal":
            places.add((tuple(a[i - before : j]), tuple(b[k - before : m])))
    return places
