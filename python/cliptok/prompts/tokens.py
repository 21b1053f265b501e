"""Pieces of text to ids, each by itself, with the tokenizer that a dialect's tool uses."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from cliptok import Tokenizer

# The blocks that transformers' BasicTokenizer calls Chinese characters.
_CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class PieceTokenizer:
    """A tokenizer as dialects see it: ids without special tokens, and the ids that a chunk is made of."""

    def __init__(self, tokenizer: Any, clean: Callable[[str], str] | None = None, pad: int | None = None) -> None:
        self.tokenizer, self.clean = tokenizer, clean
        self.begin = int(tokenizer.bos_token_id)
        self.end = int(tokenizer.eos_token_id)
        self.pad = int(tokenizer.pad_token_id) if pad is None else pad
        self._words: dict[str, int] = {}

    def packed(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """The ids of all texts joined, and how many each has. Raises ValueError for a lone surrogate."""
        given = list(texts) if self.clean is None else [self.clean(text) for text in texts]
        if self._has_placeholders:
            from cliptok.encoder.placeholders import expand_placeholders

            given = expand_placeholders(self.tokenizer, given)
        if isinstance(self.tokenizer, Tokenizer):
            ids, offsets = self.tokenizer._tokens.engine.pack(given, "int32", None, add_special_tokens=False)
            return ids, np.diff(offsets)
        if not given:
            return np.zeros(0, np.int32), np.zeros(0, np.int64)
        distinct = list(dict.fromkeys(given))
        found = self.tokenizer(distinct, add_special_tokens=False, verbose=False)["input_ids"]
        known = dict(zip(distinct, found, strict=True))
        lists = [known[text] for text in given]
        lengths = np.array([len(ids) for ids in lists], np.int64)
        return np.fromiter(chain.from_iterable(lists), np.int32, int(lengths.sum())), lengths

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text. Raises ValueError for a lone surrogate."""
        ids, lengths = self.packed(texts)
        flat, ends = ids.tolist(), np.cumsum(lengths).tolist()
        return [flat[start:stop] for start, stop in zip([0, *ends], ends, strict=False)]

    @property
    def _has_placeholders(self) -> bool:
        """Whether a textual inversion of several vectors was loaded as diffusers does: a name stands for its tokens."""
        added = getattr(self.tokenizer, "added_tokens_encoder", {})
        return any(f"{token}_1" in added for token in added)

    def word(self, token: str) -> int:
        """The id of a token of the vocabulary, such as `,</w>`."""
        if token not in self._words:
            self._words[token] = int(self.tokenizer.convert_tokens_to_ids(token))
        return self._words[token]

    def token(self, id: int) -> str:
        """The token of an id."""
        return str(self.tokenizer.convert_ids_to_tokens(id))


def profiled(profile: str, pad: int | None = None) -> PieceTokenizer:
    """CLIP's own vocabulary in the profile of a tool: one of cliptok's, or "transformers-basic".

    "transformers-basic" is transformers 4's CLIPTokenizer where ftfy is not installed, which is what ComfyUI has.
    """
    if profile == "transformers-basic":
        return PieceTokenizer(Tokenizer(), basic_clean, pad)
    named: Any = profile
    return PieceTokenizer(Tokenizer(named), pad=pad)


def basic_clean(text: str) -> str:
    """What transformers' BasicTokenizer makes of a text: no control characters, Chinese ones apart, lowercase."""
    if text.isascii() and text.isprintable():
        return text
    characters: list[str] = []
    for character in text:
        code = ord(character)
        if character in " \t\n\r" or unicodedata.category(character) == "Zs":
            characters.append(" ")
        elif code in (0, 0xFFFD) or unicodedata.category(character).startswith("C"):
            continue
        elif code >= 0x3400 and any(first <= code <= last for first, last in _CHINESE):
            characters.append(f" {character} ")
        else:
            characters.append(character)
    words = unicodedata.normalize("NFC", "".join(characters)).split()
    return " ".join(word.lower() for word in words)
