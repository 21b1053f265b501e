"""The engine cleans texts as ftfy and Python do, and leaves no text as it is that they would change.

A text that it does not clean has to be one that cleaning leaves alone, apart from white space at the ends and in runs,
and lower case.
"""

import html
import html.entities
import re
import time
import unicodedata
from collections.abc import Iterable
from typing import Any

import ftfy
import pytest
from ftfy.badness import BADNESS_RE, MOJIBAKE_CATEGORIES, is_bad
from hypothesis import given
from hypothesis import strategies as st
from test_code_points import _ALIKE, EVERY

from cliptok import _engine
from cliptok._engine import Engine
from support.cleaning import differs
from support.compare import assert_equal_ids
from support.corpora import Corpus, corpora
from support.dirty import strings
from support.strategies import assigned
from support.strategies import texts as any_texts
from support.unicode import UNICODE_14

CLEANING = ("transformers-slow", "open_clip", "openai")


def let_through(profile: str, texts: list[str]) -> list[str]:
    """The texts that an engine of this profile does not clean."""
    engine = Engine(profile, [], 49406, 49407)
    return [text for text in texts if not engine.needs_cleaning(text)]


def cleaned(profile: str, text: str) -> str:
    """What the profile's reference makes of a text before the split, lower case included."""
    fixed = ftfy.fix_text(text)
    return (fixed if profile == "transformers-slow" else html.unescape(html.unescape(fixed))).lower()


def plainly(text: str) -> str:
    """What the engine itself does to a text that it lets through: lower case by code point."""
    return "".join(map(str.lower, text))


def assert_untouched(profile: str, texts: Iterable[str]) -> int:
    """Fail if the engine lets a text through that cleaning changes. Returns how many it lets through."""
    passed = let_through(profile, list(texts))
    wrong = [text for text in passed if cleaned(profile, text).split() != plainly(text).split()]
    assert not wrong, f"{len(wrong)} let through: {wrong[:20]!r}"
    return len(passed)


@pytest.mark.parametrize("profile", CLEANING)
def test_every_code_point(profile: str) -> None:
    """In texts of their own where a character is anything special; ideographs and their like share texts."""
    own = [f"{c} a{c}b {c}'s A{c}{c}1" for c in EVERY if not _ALIKE.match(c)]
    alike = [c for c in EVERY if _ALIKE.match(c)]
    shared = [" ".join(alike[at : at + 16]) for at in range(0, len(alike), 16)]
    assert assert_untouched(profile, own + shared) > 20_000


def mojibake_characters() -> list[str]:
    """Every character beyond ASCII that ftfy's test for mojibake names, and some of ASCII that it looks at."""
    ranges = re.compile("[" + "".join(MOJIBAKE_CATEGORIES.values()) + "]")
    literal = set(BADNESS_RE.pattern)
    named = [c for c in EVERY if ord(c) > 127 and (c in literal or ranges.match(c))]
    return [*named, *"azAZ019 .,'&;\t\n"]


@pytest.mark.parametrize("context", ["{}{}", "a{}{}b", "A{}{}1", " {}{}.", "{} {}", "x.{}{} y"])
def test_pairs_that_look_like_mojibake(context: str) -> None:
    """All pairs of the characters that ftfy's test names: what it finds bad is cleaned, fixable or not."""
    characters = mojibake_characters()
    assert len(characters) > 350
    before, between, after = context.split("{}")
    texts = [before + first + between + second + after for first in characters for second in characters]
    passed = let_through("transformers-slow", texts)
    assert passed
    wrong = [text for text in passed if is_bad(text)]
    assert not wrong, f"{len(wrong)} let through: {wrong[:20]!r}"


@pytest.mark.parametrize("profile", CLEANING)
def test_a_sample_of_those_pairs_has_the_references_ids(profile: str) -> None:
    characters = mojibake_characters()
    pairs = [first + second for first in characters for second in characters]
    assert_equal_ids((f"a{pair} {pair}.B" for pair in pairs[::31]), [profile])


def entity_like() -> list[str]:
    """Named and numbered entities, whole and cut short, in every case, and ampersands that are none."""
    names = sorted(html.entities.html5)
    stems = [name.rstrip(";") for name in names]
    texts = [f"x&{name}y" for name in names]
    texts += [f"&{stem}" for stem in stems] + [f"&{stem};" for stem in stems] + [f"&amp;{name}" for name in names]
    texts += [f"a &{stem.upper()}; &{stem.lower()};" for stem in stems]
    texts += [f"&{stem[: len(stem) // 2]};&{stem}x;" for stem in stems]
    visible = [chr(code) for code in range(32, 127)]
    texts += [f"R&{first}{second};&{first}{second}" for first in visible for second in visible]
    numbers = [*range(300), 0x2019, 0x201C, 0xD800, 0xFFFE, 0xFFFF, 0x1F600, 0x10FFFF, 0x110000, 10**9]
    for number in numbers:
        texts += [
            f"&#{number};",
            f"&#{number}",
            f"a&#{number}b",
            f"&#x{number:x};",
            f"&#X{number:X}",
            f"&amp;#{number};",
        ]
    return [
        *texts,
        "&",
        "&&",
        "&;",
        "&#",
        "&#;",
        "&#x",
        "&#x;",
        "&#xg;",
        "& amp;",
        "&amp ;",
        "&\u017f;",
        "&am\u0440;",
        "&lt;&gt",
    ]


@pytest.mark.parametrize("profile", CLEANING)
def test_entities(profile: str) -> None:
    texts = entity_like()
    assert assert_untouched(profile, texts) > 200
    assert_equal_ids(texts[::5], [profile])


@pytest.mark.parametrize("profile", CLEANING)
def test_composition(profile: str) -> None:
    """Sequences that NFC would join or reorder are cleaned."""
    marks = [c for c in EVERY if unicodedata.combining(c)]
    texts = [f"{base}{mark}" for mark in marks for base in "aOqеか가\u1100\u05d9\u0915"]
    texts += [f"x{marks[i]}{mark}" for i, mark in enumerate(marks[1:])] + [
        f"x{mark}{marks[i]}" for i, mark in enumerate(marks[1:])
    ]
    jamo = [chr(code) for code in range(0x1100, 0x1200, 5)]
    texts += [first + second for first in jamo for second in jamo]
    assert assert_untouched(profile, texts) > 100


@given(st.lists(any_texts.map(assigned), min_size=1, max_size=20))
def test_any_text(batch: list[str]) -> None:
    for profile in CLEANING:
        assert_untouched(profile, batch)


def test_a_lenient_engine_would_be_caught() -> None:
    """The proof itself: with an engine that lets everything through these texts would fail it."""
    texts = ["schÃ¶n", "&amp;amp;", "\u201cx\u201d", "e\u0301", "ﬁ", "ΑΣ", "\x1b[0m", "ＡＢＣ"]
    for profile in CLEANING:
        assert [text for text in texts if cleaned(profile, text).split() != plainly(text).split()] == texts
        assert let_through(profile, texts) == []
    assert is_bad("schÃ¶n")
    assert let_through("open_clip", ["plain text, it's fine", "naïve café", "привет", "日本"]) == [
        "plain text, it's fine", "naïve café", "привет", "日本",
    ]  # fmt: skip


def test_generated_strings() -> None:
    """Mojibake of all pairs of codecs, entities, odd characters and mixes; `make ftfy-twin` compares ten million."""
    wrong = [text for text in strings(seed=2, count=20_000) if differs(text)]
    assert not wrong, f"{len(wrong)} differ: {wrong[:20]!r}"


@given(any_texts.map(assigned))
def test_any_text_is_cleaned_as_by_ftfy(text: str) -> None:
    assert not differs(text)


@UNICODE_14
def test_every_code_point_is_cleaned_as_by_ftfy() -> None:
    own = [f"{c} a{c}b Ã{c}" for c in EVERY if not _ALIKE.match(c)]
    wrong = [text for text in own if differs(text)]
    assert not wrong, f"{len(wrong)} differ: {wrong[:20]!r}"


def test_entities_are_cleaned_as_by_python() -> None:
    wrong = [text for text in entity_like() if differs(text)]
    assert not wrong, f"{len(wrong)} differ: {wrong[:20]!r}"


def short_lines() -> list[Any]:
    """Every corpus but the long documents; those with every character there is need the engine's Unicode."""
    found = [corpus for corpus in corpora() if not corpus.name.startswith("6_long/")]
    return [pytest.param(c, id=c.name, marks=UNICODE_14 if "unicode_" in c.name else ()) for c in found]


@pytest.mark.parametrize("corpus", short_lines())
def test_every_line_of_the_corpora(corpus: Corpus) -> None:
    wrong = [text for text in corpus.texts() if not text.isascii() or "&" in text if differs(text)]
    assert not wrong, f"{len(wrong)} differ: {wrong[:20]!r}"


# Each unfolds one layer at a time in ftfy, or is sorted there mark by mark.
GROWING = [
    "&" + "amp;" * 20_000,
    "&" + "amp;#38;" * 10_000,
    "&" + "#38;" * 20_000,
    "a" + "\u0323\u0301" * 40_000,
    "\u0f71\u0f72" * 20_000,
]
REPEATED = [
    "&amp;",
    "&amp;amp;",
    "Ã\x83",
    "Ãƒƒ",
    "Ã\x83\x83",
    "â€™",
    "Ã ",
    "\x1b[",
    "\x1b[1",
    "&#",
    "&a",
    "\r",
    "Σ",
    "Σ'",
    "a\n",
    "à²",
]


@pytest.mark.parametrize("text", [*GROWING, *(unit * (100_000 // len(unit.encode())) for unit in REPEATED)])
def test_time_grows_with_the_text(text: str) -> None:
    """A hundred kilobytes of anything in 50 ms; ten times that for a machine that does other things too."""
    begin = time.process_time()
    _engine.clean(text, "open_clip")
    assert time.process_time() - begin < 0.5


def test_long_chains_end_as_in_ftfy() -> None:
    for levels in (2, 3, 4, 5, 50, 51):
        chain = "amp;" * levels
        for text in (f"&{chain}", f"&{chain}lt; &{chain[4:]}eacute;", f"x&{chain}&{chain}amp;#39; “&#38;{chain}"):
            assert not differs(text)
    assert _engine.fix_text("&" + "amp;" * 20_000 + "lt; é") == "< é"
