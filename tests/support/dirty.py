"""Seeded strings of the kinds that ftfy puts right: mojibake of all pairs of codecs, entities, odd characters, mixes.

Only code points that Unicode 13 had assigned, so that every supported Python takes them for the same.
"""

import html.entities
import random
import unicodedata
from collections.abc import Iterator

from ftfy import chardata

_CODECS = [*chardata.CHARMAP_ENCODINGS, "sloppy-windows-1256", "sloppy-windows-1258", "cp850", "koi8-r", "utf-8"]
# ruff: noqa: SIM905
_WORDS = """
naïve café Straße été à la mode façade España ÉTÉ jalapeño Ünïcode Ærø Łódź žluťoučký
kůň İstanbul ışık ĳs ŉ Ǆ “quoted” ‘it’s’ «oui» – — … • ™ © ® € £ ¥ ¿qué? ¡sí! ½ ×2 ÷ ± µ
° º ª ² ³ ¬ ¦ § ¶ · ¨ ´ ¸ ¯ Привет мир Ёлка її ґ Ελλάδα ΟΔΥΣΣΕΥΣ ς ΰ Ω שלום عالم مرحبا
हिन्दी ไทย 日本語 ﾊﾟﾋﾟ ＦＵＬＬ ｗｉｄｔｈ 한국어 ｶﾞ ﬁ ﬂ ﬃ ſt ﷺ 😀 👍🏽 🇩🇪 o\u0308 e\u0301 a\u0323\u0302
\u1100\u1161\u11a8 \u212b \u2126 \u0958 \u0f71\u0f72 \ufeff \u200b \u200d \u2028 \u2029
\x85 \xa0 \xad \ufffd plain words of English text, 1234 5.6% #tag @user
http://x.io/?a=b&c=d AT&T R&B <b> </i> :-) ¯\\_(ツ)_/¯ Ã Â Ã© â€™ ðŸ˜€ Å’ Î± Ð¿ œ Œ
""".split()
_ODD = sorted(
    {c for text in chardata.UTF8_CLUES.values() for c in text if c != "-"}
    | {bytes([b]).decode(codec, "ignore") for codec in chardata.CHARMAP_ENCODINGS for b in range(0x80, 0x100)}
    | set(map(chr, [*chardata.LIGATURES, *chardata.WIDTH_MAP, *chardata.CONTROL_CHARS]))
    | set(
        "\n\r\t\x0c\x1a\x1b ?&;#<>aAzZ09.,![m \u2018\u2019\u201c\u201d\u0300\u0301\u0323\u0345\u3099\u1161\u11a8\u03a3"
    )
    - {""}
)
_ASCII = [" ", " ", " ", "a", "e", "s", "A", ".", ",", "?", "\n", "'", "1", "quele ", "s ", "\r\n", "<", "&"]
_HTML = list(html.entities.html5) + [name[1:] for name in chardata.HTML_ENTITIES]


def strings(seed: int, count: int) -> Iterator[str]:
    """`count` strings; the same seed gives the same ones."""
    chosen = random.Random(seed)
    kinds = [_mojibake, _mojibake, _entities, _odd, _odd, _scattered, _terminal]
    for _ in range(count):
        parts = [chosen.choice(kinds)(chosen) for _ in range(chosen.choice([1, 1, 1, 2, 3]))]
        yield chosen.choice(["", " ", "\n"]).join(parts)


def _text(chosen: random.Random) -> str:
    return " ".join(chosen.choices(_WORDS, k=chosen.choice([1, 1, 2, 3, 6])))


def _mojibake(chosen: random.Random) -> str:
    """Text written in one codec and read in another, once or more, of which some bytes may be lost on the way."""
    text = _text(chosen)
    for _ in range(chosen.choice([1, 1, 1, 2, 3])):
        write = "utf-8" if chosen.random() < 0.8 else chosen.choice(_CODECS)
        data = text.encode(write, "ignore" if chosen.random() < 0.5 else "replace")
        if chosen.random() < 0.1 and data:
            at = chosen.randrange(len(data))
            data = data[:at] + chosen.choice([b"", b"?", b"\x1a", b" ", b"\xed\xa0\xbd", b"\xc0\x80"]) + data[at + 1 :]
        text = data.decode(chosen.choice(_CODECS), chosen.choice(["ignore", "replace"]))
        if chosen.random() < 0.1:
            text = text.replace("\xa0", " ")
    if chosen.random() < 0.2:
        text = chosen.choice(_WORDS) + chosen.choice(["", " "]) + text
    return text


def _entities(chosen: random.Random) -> str:
    parts = []
    for _ in range(chosen.choice([1, 2, 3, 5])):
        kind = chosen.random()
        if kind < 0.4:
            name = chosen.choice(_HTML)
            name = name if chosen.random() < 0.7 else chosen.choice([name.upper(), name.lower(), name.rstrip(";")])
        else:
            number = chosen.choice(
                [chosen.randrange(0x300), chosen.randrange(0x110200), chosen.choice([38, 59, 0x2019])]
            )
            name = (
                chosen.choice(["#{};", "#{}", "#0{};"]).format(number)
                if kind < 0.7
                else f"#x{number:{'xX'[kind < 0.8]}};"
            )
        parts.append("&" + chosen.choice(["", "", "amp;", "amp;amp;", "#38;", "AMP;", "a"]) + name)
    return chosen.choice(["", " ", "x"]).join(parts)


def _odd(chosen: random.Random) -> str:
    """Characters that mean something to ftfy, and ASCII between them."""
    return "".join(chosen.choices(_ODD, k=chosen.randrange(1, 9)) + chosen.choices(_ASCII, k=chosen.randrange(3)))


def _scattered(chosen: random.Random) -> str:
    mixed = chosen.choices(_ODD, k=4) + chosen.choices(_ASCII, k=6) + [chr(chosen.choice(_ASSIGNED)) for _ in range(2)]
    chosen.shuffle(mixed)
    return "".join(mixed)


def _terminal(chosen: random.Random) -> str:
    pieces = [
        "\x1b[",
        "\x1b",
        "[",
        "1",
        ";",
        "m",
        "K",
        "\u0661",
        "x",
        " ",
        "\r",
        "\n",
        "\r\n",
        "\x00",
        "\x0b",
        "\u2028",
    ]
    return "".join(chosen.choices(pieces, k=6)) + _text(chosen)


# Unicode's DerivedAge.txt: what has come since version 13, in the versions that some supported Python has.
_NEW = [(0x061D, 0x061D), (0x0870, 0x089F), (0x08B5, 0x08B5), (0x08C8, 0x08D2), (0x1AC1, 0x1ACE), (0x1DFA, 0x1DFA)]
_ASSIGNED = [
    c
    for c in [*range(0x20, 0x870), *range(0x900, 0x2E00), *range(0x3000, 0x3400), *range(0xA000, 0xD800),
              *range(0xF900, 0x10000), *range(0x1D400, 0x1D800), *range(0x1F300, 0x1F6D8)]
    if unicodedata.ucd_3_2_0.category(chr(c)) != "Cn" and not any(a <= c <= b for a, b in _NEW)
]  # fmt: skip
