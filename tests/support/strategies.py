"""Strategies for strings that are hard for a CLIP tokenizer, and all their mixtures."""

import unicodedata

from hypothesis import strategies as st

SPECIALS = ("<|startoftext|>", "<|endoftext|>", "<start_of_text>", "<end_of_text>")
SPACES = [
    *" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u180e", *map(chr, range(0x2000, 0x200E)),
    *"\u2028\u2029\u202f\u205f\u2060\u3000\ufeff",
]  # fmt: skip
_ENCODINGS = ("cp1252", "latin-1", "cp1251", "cp1250", "cp1253", "mac_roman", "cp437", "iso-8859-2")
_WORDS = [
    "photo", "A", "Woman", "it's", "DON'T", "we'll", "I'M", "rock'n'roll", "8k", "1girl", "café", "Ünï", "straße",
    "ﬁne",
    "ΣΊΣΥΦΟΣ", "ΑΣ", "İ", "ſ", "K", "Ω", "привет", "Мир", "日本語", "한국어", "ภาษาไทย", "नमस्ते",
    "שָׁלוֹם", "مرحبا", "ＡＢＣ",
    "½", "Ⅷ", "٣",
]  # fmt: skip
_PIECES = [
    "'", "''", "'s", "'S", "'ſ", "'ll", "'LL", "’s", "`s", "\u02bc", "…", "—", "“x”", "‘y’", "«z»", "!", "!!", "...",
    ",", "#", "@", "_", "-", "/",
    "<", "<|", "|>", "|", ">", "<|startoftext", "endoftext|>", "&", "&amp;", "&amp;amp;", "&lt;", "&gt", "&#39;",
    "&#x2019;", "&nbsp;",
    "&notit;", "&Eacute;", "&EACUTE;", "&#128;", "Ã©", "â€™", "â€œ", "Â", "Ã ", "ðŸ˜‚", "Ð¿", "œ", "à¹", "ï»¿",
    "\u0301", "\u0308", "\u0323", "\u0307", "\u0345", "\u3099", "\u200d", "\ufe0f", "\u1100", "\u1161", "\u11a8", "가",
    "\x00", "\x07", "\x1b", "\x1b[31m", "\x7f", "\x80", "\x93", "\x9f", "\xad", "\ufffd", "\ufffe", "\u202e", "\u0378",
    "\ue000", "\U0010ffff",
    "😀", "👍🏽", "👨‍👩‍👧", "🇩🇪", "1️⃣", "❤️", "²", "①", "ﬅ", "ŉ", "Å", "\u212b", "\u1e9e", "\u0130", "\u0131", "ǅ", "Ꭰ",
    "Ა", "𐐀", "𝐀",
]  # fmt: skip


def assigned(text: str) -> str:
    """Without characters that this Python does not know, of which the Unicode of others may differ."""
    return "".join(c for c in text if unicodedata.category(c) != "Cn")


def _odd_case(text: str, choices: list[int]) -> str:
    """The text with some letters in upper case, or an s in its long form."""
    letters = [
        c.upper() if choice == 1 else "ſ" if choice == 2 and c == "s" else c
        for c, choice in zip(text, choices, strict=True)
    ]
    return "".join(letters)


def _odd_special(special: str) -> st.SearchStrategy[str]:
    choice = st.sampled_from([0, 0, 0, 1, 2])
    return st.lists(choice, min_size=len(special), max_size=len(special)).map(
        lambda choices: _odd_case(special, choices)
    )


def _misread(text: str, encoding: str) -> str:
    return text.encode("utf-8", "ignore").decode(encoding, "replace")


any_character = st.characters(exclude_categories=["Cs"])
word = st.sampled_from(_WORDS)
piece = st.sampled_from(_PIECES)
space = st.text(st.sampled_from(SPACES), min_size=1, max_size=3)
special = st.sampled_from(SPECIALS) | st.sampled_from(SPECIALS).flatmap(_odd_special)
latin = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x24F), max_size=12)
symbols = st.text(st.characters(min_codepoint=0x2000, max_codepoint=0x2BFF), max_size=6)
mojibake = st.builds(_misread, word | latin | symbols, st.sampled_from(_ENCODINGS))
twice_misread = st.builds(_misread, mojibake, st.sampled_from(_ENCODINGS))
ascii_text = st.text(st.characters(max_codepoint=0x7F), max_size=40)
anything = st.text(any_character, max_size=8)

atom = st.one_of(word, piece, piece, space, st.just(" "), special, latin, mojibake, twice_misread, ascii_text, anything)
texts = st.lists(atom, max_size=12).map("".join)
"""Words, pieces, specials, spaces and mojibake in any order, with and without spaces between."""
