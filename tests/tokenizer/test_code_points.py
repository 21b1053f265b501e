"""Every code point there is, beside letters, digits and itself: ids equal the references'.

About forty thousand code points, those that cleaning, lowercasing or normalising could treat in a way of their own, get
a text each. The others (ideographs and other large scripts, private use, unassigned) share texts, 64 in each; of the
planes 4 to 13, 15 and 16, where no character is, every sixteenth does. Set CLIPTOK_EXHAUSTIVE to give every one of the
1,112,064 a text of its own, which takes some ten minutes.
"""

import os

import pytest
import regex

from support.compare import assert_equal_ids, chunks
from support.references import PROFILES
from support.unicode import UNICODE_14

EVERY = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
_ALIKE = regex.compile(
    r"[\p{Cn}\p{Co}\p{Han}\p{Hangul}\p{Tangut}\p{Nushu}\p{Khitan_Small_Script}\p{Cuneiform}\p{Yi}\p{Bamum}"
    r"\p{Egyptian_Hieroglyphs}\p{Anatolian_Hieroglyphs}\p{SignWriting}]"
)


def _own_text(c: str) -> str:
    """Alone, within a word, before a contraction, doubled, and before a digit: each reveals another property."""
    return f"{c} a{c}b {c}'s a {c}{c}1"


def _shared_text(characters: list[str]) -> str:
    """A letter joins the one before it, a digit stands alone, punctuation joins its like, white space vanishes."""
    return " ".join(f"a{c}{c}" for c in characters)


def test_the_code_points_are_all_there() -> None:
    alone = sum(not _ALIKE.match(c) for c in EVERY)
    assert len(EVERY) == 1_112_064
    assert 35_000 < alone < 60_000


@UNICODE_14
def test_code_points_with_texts_of_their_own() -> None:
    everything = bool(os.environ.get("CLIPTOK_EXHAUSTIVE"))
    assert_equal_ids(_own_text(c) for c in EVERY if everything or not _ALIKE.match(c))


def test_code_points_that_share_texts() -> None:
    alike = (c for c in EVERY if _ALIKE.match(c) and (ord(c) >> 16 in (0, 1, 2, 3, 14) or ord(c) % 16 == 15))
    assert_equal_ids(_shared_text(characters) for characters in chunks(alike, 64))


@pytest.mark.parametrize("profile", PROFILES)
def test_combining_marks_and_what_stands_before(profile: str) -> None:
    """NFC looks at neighbours: each base of a canonical composition with marks that compose, and that do not."""
    import unicodedata

    marks = [
        "\u0301",
        "\u0308",
        "\u0323",
        "\u0327",
        "\u0338",
        "\u0345",
        "\u3099",
        "\u11a8",
        "\u1161",
        "\u05b4",
        "\u093c",
    ]
    bases = [c for c in EVERY if unicodedata.decomposition(c) and not unicodedata.decomposition(c).startswith("<")]
    decomposed = [unicodedata.normalize("NFD", c) for c in bases if not 0xAC00 <= ord(c) <= 0xD7A3]
    texts = [
        f"{base}{mark} {parts}{mark}x" for base, parts in zip(decomposed, decomposed, strict=True) for mark in marks[:4]
    ]
    texts += [f"x{mark}{other} {mark}{other}{mark}" for mark in marks for other in marks]
    assert_equal_ids(texts, [profile])
