"""What one pass over the texts of a file finds out, in memory that does not grow with them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cliptok.report.differences import Differences
from cliptok.report.sample import Sample
from cliptok.report.words import SplitWords
from cliptok.tokenizer.bulk import PackedTokens
from cliptok.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    import numpy.typing as npt

LONGEST_BIN = 1 << 14
"""Texts with as many tokens or more share the histogram's last place."""
_EXAMPLES = 6
_SHOWN = 4000
"""Characters of an example that are kept."""


class FileCounts(NamedTuple):
    """Of the texts of one file."""

    texts: int = 0
    tokens: int = 0
    truncated: int = 0
    longest: int = 0


class TruncatedText(NamedTuple):
    """A text that does not fit, as it was read; or where the profile has no offsets, as its tokens read."""

    kept: str
    lost: str
    tokens: int
    """Of the whole text, start and end included."""


class Survey:
    """Counts of tokens, and samples of texts. `tok` is whose tokens are counted, by default `transformers`'.

    `max_length` defaults to the tokenizer's own. With `profiles` the ids of two profiles are compared too. Raises
    ValueError for a `max_length` of `LONGEST_BIN` or more.
    """

    def __init__(self, tok: Tokenizer | None, max_length: int | None = None, profiles: bool = True) -> None:
        self._pair = (Tokenizer("transformers"), Tokenizer("open_clip"))
        self.tok = tok or self._pair[0]
        max_length = self.tok._row_length if max_length is None else max_length
        if max_length >= LONGEST_BIN:
            raise ValueError(f"max_length is {max_length}; a report takes {LONGEST_BIN - 1} or less")
        self.max_length = max_length
        self.texts = self.empty = self.tokens = self.longest = self.truncated = self.lost = 0
        self.nulls = self.undecodable = 0
        """What the file has besides, for the page to say."""
        self.histogram: npt.NDArray[np.int64] = np.zeros(LONGEST_BIN + 1, np.int64)
        """Texts by their number of tokens."""
        self.words = SplitWords(self.tok)
        self._compares = profiles
        self.differences = Differences(*self._pair)
        self.files: dict[str, FileCounts] = {}
        """By the name of the file."""
        self._truncated_texts: Sample[tuple[str, int]] = Sample(_EXAMPLES)
        self._longest_text = ""

    def add(self, chunk: Any, file: str = "") -> PackedTokens | None:
        """Take in some texts of a file, a list of str or an Arrow column of strings, and return their ids."""
        if len(chunk) == 0:
            return None
        packed = [tok.encode_packed(chunk) for tok in self._pair] if self._compares else []
        own = packed[0] if packed and self.tok is self._pair[0] else self.tok.encode_packed(chunk)

        def text(row: int) -> str:
            return str(chunk[row])  # an Arrow scalar of a string is that string

        counts = np.diff(own.offsets)
        self._count(counts, text)
        self._count_file(counts, file)
        self.words.add(own)
        if packed:
            self.differences.add(packed[0], packed[1], text)
        return own

    def _count_file(self, counts: "npt.NDArray[np.int64]", file: str) -> None:
        before = self.files.get(file, FileCounts())
        self.files[file] = FileCounts(
            before.texts + len(counts),
            before.tokens + int(counts.sum()),
            before.truncated + int((counts > self.max_length).sum()),
            max(before.longest, int(counts.max())),
        )

    def _count(self, counts: "npt.NDArray[np.int64]", text: Callable[[int], str]) -> None:
        self.texts += len(counts)
        self.tokens += int(counts.sum())
        self.empty += int((counts <= 2).sum())
        self.histogram += np.bincount(np.minimum(counts, LONGEST_BIN), minlength=LONGEST_BIN + 1)
        truncated = (counts > self.max_length).nonzero()[0]
        self.truncated += len(truncated)
        self.lost += int((counts[truncated] - self.max_length).sum())
        self._truncated_texts.offer(truncated, lambda row: (text(row)[:_SHOWN], int(counts[row])))
        longest = int(counts.argmax())
        if counts[longest] > max(self.longest, self.max_length):
            self._longest_text = text(longest)[:_SHOWN]
        self.longest = max(self.longest, int(counts[longest]))

    def within(self, length: int) -> int:
        """The texts of at most so many tokens, for a length below `LONGEST_BIN`."""
        return int(self.histogram[: length + 1].sum())

    def quantile(self, share: float) -> int:
        """The number of tokens that this share of the texts does not exceed; at most `LONGEST_BIN`."""
        return int(np.searchsorted(np.cumsum(self.histogram), share * self.texts))

    def truncated_texts(self) -> list[TruncatedText]:
        """Some of the texts that are truncated, and last the longest of all."""
        found = self._truncated_texts.items()
        if self._longest_text and (self._longest_text, self.longest) not in found:
            found.append((self._longest_text, self.longest))
        return [TruncatedText(*_parts(self.tok, text, self.max_length - 2), tokens) for text, tokens in found]


def _parts(tok: Tokenizer, text: str, room: int) -> tuple[str, str]:
    """What fits and what does not."""
    if tok.profile == "transformers":
        offsets = tok(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        end = offsets[room][0] if len(offsets) > room else len(text)
        return text[:end], text[end:]
    ids = tok.encode(text, add_special_tokens=False)
    return tok.decode(ids[:room]).strip(), tok.decode(ids[room:]).strip()
