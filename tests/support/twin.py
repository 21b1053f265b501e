"""A naive twin of the four profiles: slow, short, and close to how one would explain them.

It shares nothing with the engine but the vocabulary's file. Property tests compare the two; `test_twin` compares it
with the references.
"""

import html
import itertools
import unicodedata
from functools import cache

import ftfy
import regex

from support.references import END, START, clip_files

_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
_TRANSFORMERS_SPECIALS = ("<|startoftext|>", "<|endoftext|>")
_OPEN_CLIP_SPECIALS = ("<start_of_text>", "<end_of_text>")


def ids(profile: str, text: str) -> list[int]:
    """The ids of a text, start and end included."""
    return [START, *_PROFILES[profile](text), END]


def transformers(text: str) -> list[int]:
    """NFC, white space and lower case code point by code point, after the special tokens are cut out as written.

    In the split they may stand once more, since lower case can make one. It is then one piece of the split, but is
    split again: at its letters.
    """
    found: list[int] = []
    for stretch, special in _apart(text, _TRANSFORMERS_SPECIALS):
        if special is not None:
            found.append(special)
            continue
        plain = "".join(map(_lower, regex.sub(r"\s+", " ", unicodedata.normalize("NFC", stretch))))
        for piece in regex.findall(rf"<\|startoftext\|>|<\|endoftext\|>|{_SPLIT}", plain):
            words = regex.findall(r"\p{L}+|\P{L}+", piece) if piece in _TRANSFORMERS_SPECIALS else [piece]
            for word in words:
                found += merge(word)
    return found


def transformers_slow(text: str) -> list[int]:
    """ftfy, white space and lower case as Python has it, after the special tokens are cut out as written."""
    found: list[int] = []
    for stretch, special in _apart(text, _TRANSFORMERS_SPECIALS):
        if special is not None:
            found.append(special)
        else:
            found += _split_in_any_case(ftfy.fix_text(stretch).lower(), _TRANSFORMERS_SPECIALS)
    return found


def open_clip(text: str, specials: tuple[str, str] = _OPEN_CLIP_SPECIALS) -> list[int]:
    """ftfy, html entities, lower case as Python has it; the special tokens are words of the split."""
    return _split_in_any_case(" ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower(), specials)


def openai(text: str) -> list[int]:
    """open_clip's rules with OpenAI's names of the special tokens."""
    return open_clip(text, _TRANSFORMERS_SPECIALS)


def _apart(text: str, specials: tuple[str, str]) -> list[tuple[str, int | None]]:
    """The stretches of a text and, between them, the ids of the special tokens that stand in it as written."""
    pieces = regex.split("(" + "|".join(map(regex.escape, specials)) + ")", text)
    return [(piece, START + specials.index(piece) if piece in specials else None) for piece in pieces if piece]


def _split_in_any_case(text: str, specials: tuple[str, str]) -> list[int]:
    """The pattern ignores case, so the long s counts as an s: a special token with one is a word, but no special."""
    found: list[int] = []
    pattern = "|".join(map(regex.escape, specials)) + "|" + _SPLIT
    for word in regex.findall(pattern, text, flags=regex.IGNORECASE):
        found += [START + specials.index(word)] if word in specials else merge(word)
    return found


def _lower(c: str) -> str:
    return c.lower()


def merge(word: str) -> list[int]:
    """The ids of one word: as long as any two neighbours have a merge, merge where the earliest merge applies."""
    vocabulary, ranks, letters = _tables()
    symbols = [letters[byte] for byte in word.encode()]
    symbols[-1] += "</w>"
    while True:
        known = [(ranks[pair], at) for at, pair in enumerate(itertools.pairwise(symbols)) if pair in ranks]
        if not known:
            return [vocabulary[symbol] for symbol in symbols]
        _, at = min(known)
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]


@cache
def _tables() -> tuple[dict[str, int], dict[tuple[str, str], int], list[str]]:
    vocabulary, merges = clip_files()
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {byte: chr(byte) for byte in shown} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}
    return vocabulary, {pair: rank for rank, pair in enumerate(merges)}, [letters[byte] for byte in range(256)]


_PROFILES = {
    "transformers": transformers,
    "transformers-slow": transformers_slow,
    "open_clip": open_clip,
    "openai": openai,
}
