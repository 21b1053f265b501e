"""Texts that the profiles `transformers` and `open_clip` give other ids, and what they read differently."""

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
    """The ids of the same place of a text in two profiles, with the token before it where there are none in one."""

    transformers: tuple[int, ...]
    open_clip: tuple[int, ...]
    texts: int
    """Of the sample."""
    example: str


class Differences:
    """Counts them all, and keeps a sample to look at closely."""

    def __init__(self, transformers: "Tokenizer", open_clip: "Tokenizer") -> None:
        self.texts = 0
        self.pair = (transformers, open_clip)
        self._sample: Sample[str] = Sample(_LOOKED_AT)

    def add(self, transformers: "PackedTokens", open_clip: "PackedTokens", text: Callable[[int], str]) -> None:
        """Compare the ids of some texts, untruncated; `text` gives the text of a row."""
        rows = _unequal_rows(transformers, open_clip)
        self.texts += len(rows)
        self._sample.offer(rows, lambda row: text(row)[:LONGEST])

    def most_frequent(self, count: int) -> tuple[int, list[Difference]]:
        """The size of the sample, and what differs in most of its texts, each with the shortest text that has it."""
        texts = self._sample.items()
        counts: Counter[tuple[tuple[int, ...], tuple[int, ...]]] = Counter()
        examples: dict[Any, str] = {}
        for text in texts:
            for places in _unequal_places(*(tok.encode(text) for tok in self.pair)):
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


def _unequal_places(a: list[int], b: list[int]) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    places = set()
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        before = tag in ("insert", "delete")  # Nothing precedes the start token, which both have.
        if tag != "equal":
            places.add((tuple(a[i - before : j]), tuple(b[k - before : m])))
    return places
