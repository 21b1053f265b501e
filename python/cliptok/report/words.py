"""The words that split into many tokens, and how often they come, in bounded memory."""

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from cliptok.tokenizer.bulk import PackedTokens
    from cliptok.tokenizer.tokenizer import Tokenizer

LEAST_TOKENS = 3
MOST_TOKENS = 64
"""Longer words are no words: addresses, or text without spaces."""
_KNOWN = 100_000


class Word(NamedTuple):
    """A word, cleaned and in lower case, as its ids."""

    ids: tuple[int, ...]
    times: int


class SplitWords:
    """Counts words of `LEAST_TOKENS` to `MOST_TOKENS` tokens, `_KNOWN` different ones at most.

    When there are more, the rarer half is forgotten: `short_by` is how much too low a count may then be.
    """

    def __init__(self, tok: "Tokenizer") -> None:
        vocabulary = tok.get_vocab()
        self._is_last = np.ones(max(vocabulary.values()) + 1, bool)
        self._is_last[[id for token, id in vocabulary.items() if not token.endswith("</w>")]] = False
        self._is_last[[*tok.added_tokens_encoder.values(), tok._tokens.start_id, tok._tokens.end_id]] = True
        self._counts: Counter[bytes] = Counter()
        self.short_by = 0
        self.occurrences = 0
        """Of all words with so many tokens."""

    def add(self, packed: "PackedTokens") -> None:
        """Count the words of some texts; ids are int32."""
        ids = packed.input_ids
        ends = self._is_last[ids].nonzero()[0] + 1
        begins = np.concatenate(([0], ends[:-1]))
        sizes = ends - begins
        many = ((sizes >= LEAST_TOKENS) & (sizes <= MOST_TOKENS)).nonzero()[0]
        content, width = ids.tobytes(), ids.itemsize
        bounds = zip((begins[many] * width).tolist(), (ends[many] * width).tolist(), strict=True)
        self._counts.update(content[begin:end] for begin, end in bounds)
        self.occurrences += len(many)
        if len(self._counts) > _KNOWN:
            kept = self._counts.most_common(_KNOWN // 2 + 1)
            self.short_by += kept.pop()[1]
            self._counts = Counter(dict(kept))

    @property
    def different(self) -> int:
        """The different words that are counted; when `short_by` is not 0, there were more."""
        return len(self._counts)

    def most_frequent(self, count: int) -> list[Word]:
        """The most frequent words, most frequent first, in a settled order."""
        found = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:count]
        return [Word(tuple(np.frombuffer(content, np.int32).tolist()), times) for content, times in found]
