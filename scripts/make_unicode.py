"""Write the engine's Unicode tables, rust/engine/data/*.bin, from the reference packages themselves.

usage: python scripts/make_unicode.py [--check]

Needs Python 3.11 (Unicode 14), tokenizers, regex and ftfy. `--check` writes nothing and fails where a table would
change. Layout of the tables: rust/engine/src/unicode.rs, which reads them.

Two classifications are written, since the references split with different Unicode versions: `onig` for the
`transformers` profile (the oniguruma inside tokenizers) and `regex` for the three others (the PyPI package).
The second also says what ftfy and Python could change, so that such texts are cleaned (scripts/make_cleaning.py).
"""

import argparse
import itertools
import pathlib
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator

import ftfy
import ftfy.badness
import regex
from tokenizers import Regex, normalizers, pre_tokenizers

DATA = pathlib.Path(__file__).parents[1] / "rust/engine/data"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
PAGE = 256

OTHER, LETTER, NUMBER, SPACE = range(4)
LOWERS = 1 << 2  # changes when lowercased
COMBINING = 3  # shift of the canonical combining class, as a rank that keeps the order
COMPOSES = 1 << 9  # NFC may change it, or join it to what stands before
CLEANING = 10  # shift of the cleaning class
SUSPECT = 31  # the cleaning class of what ftfy, html or str.lower may change by itself


def onig_class() -> Callable[[int], int]:
    """What oniguruma, as tokenizers calls it, takes each code point for."""

    def matches(pattern: str) -> set[int]:
        split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
        found: set[int] = set()
        for i in range(0, len(CODE_POINTS), 4096):
            chunk = CODE_POINTS[i : i + 4096]
            for _, (begin, end) in split.pre_tokenize_str("".join(map(chr, chunk))):
                found.update(chunk[begin:end])
        return found

    letters, numbers, spaces = matches(r"[\p{L}]+"), matches(r"[\p{N}]"), matches(r"\s")
    others = matches(r"[^\s\p{L}\p{N}]+")
    assert len(letters) + len(numbers) + len(spaces) + len(others) == len(CODE_POINTS), "the classes overlap"
    return lambda c: LETTER if c in letters else NUMBER if c in numbers else SPACE if c in spaces else OTHER


def regex_class() -> Callable[[int], int]:
    """What the regex package takes each code point for, in the pattern's own case-insensitive mode."""
    patterns = [regex.compile(p, regex.IGNORECASE) for p in (r"[^\s\p{L}\p{N}]+", r"[\p{L}]+", r"[\p{N}]", r"\s")]

    def classify(c: int) -> int:
        found = [k for k, pattern in enumerate(patterns) if pattern.match(chr(c))]
        # U+0345 is in no class in case-insensitive mode: findall passes over it as over a space.
        return found[0] if found else SPACE

    return classify


def lowercase() -> dict[int, str]:
    """The mapping of tokenizers' Lowercase: each code point by itself, without Python's rule for the final sigma."""
    lower = normalizers.Lowercase()
    mapping = {c: lower.normalize_str(chr(c)) for c in CODE_POINTS}
    mapping = {c: s for c, s in mapping.items() if s != chr(c)}
    assert all(ord(x) not in mapping for s in mapping.values() for x in s), "lowercasing twice differs from once"
    return mapping


def composing() -> set[int]:
    """Code points that NFC replaces, or that may join what stands before them (NFC_Quick_Check No or Maybe)."""
    nfc = normalizers.NFC()
    found: set[int] = set()
    for c in CODE_POINTS:
        s = chr(c)
        if unicodedata.normalize("NFC", s) != s or nfc.normalize_str(s) != s:
            found.add(c)
        else:
            found.update(map(ord, unicodedata.normalize("NFD", s)[1:]))
    return found


def mojibake_pairs() -> tuple[set[int], list[tuple[set[int], set[int]]]]:
    """From ftfy's test for mojibake: code points, and pairs of neighbours, one of which is in every match.

    A text with none of them cannot match. The expression is a choice of short sequences; of each, take two
    neighbouring sets without ASCII in them, or, where there are none, the smallest set that has no ASCII.
    """
    alone: set[int] = set()
    pairs: list[tuple[set[int], set[int]]] = []
    for atoms in alternatives(re._parser.parse(ftfy.badness.BADNESS_RE.pattern, re.VERBOSE)):
        sets = [s if s and min(s) > 127 else None for s in atoms]
        best = min(
            ((a, b) for a, b in itertools.pairwise(sets) if a and b),
            key=lambda ab: len(ab[0]) * len(ab[1]),
            default=None,
        )
        if best:
            pairs.append(best)
        else:
            alone |= min((s for s in sets if s), key=len)
    return alone, pairs


def alternatives(parsed: Iterable) -> Iterator[list[set[int] | None]]:
    """The expression's alternatives, each as the sets of its atoms; None where an atom is optional or an anchor."""
    parts: list[list[list[set[int] | None]]] = []
    for op, argument in parsed:
        match str(op):
            case "BRANCH":
                parts.append([a for branch in argument[1] for a in alternatives(branch)])
            case "LITERAL":
                parts.append([[{argument}]])
            case "IN":
                parts.append([[members(argument)]])
            case "MAX_REPEAT" | "AT" | "ANY":
                parts.append([[None]])
            case _:
                raise NotImplementedError(f"{op} in ftfy's expression")
    sequences: list[list[set[int] | None]] = [[]]
    for part in parts:
        sequences = [s + p for s in sequences for p in part]
    yield from sequences


def members(items: Iterable) -> set[int] | None:
    found: set[int] = set()
    for op, argument in items:
        match str(op):
            case "LITERAL":
                found.add(argument)
            case "RANGE":
                found.update(range(argument[0], argument[1] + 1))
            case "NEGATE" | "CATEGORY":
                return None  # holds ASCII
            case _:
                raise NotImplementedError(f"{op} in ftfy's expression")
    return found


def cleaning(lower: dict[int, str]) -> tuple[dict[int, int], list[int]]:
    """Each code point's cleaning class, and per class the classes (as bits) that may not follow it."""
    alone, pairs = mojibake_pairs()
    suspects = set()
    for c in CODE_POINTS:
        s = chr(c)
        if c in alone or ftfy.fix_text(s) != s or s.lower() != lower.get(c, s):
            suspects.add(c)
    suspects -= {ord("\r")}  # becomes a line feed: both are white space, and white space becomes one space
    suspects.add(ord("&"))  # may begin an entity; the engine looks at what follows
    suspects.add(0x3A3)  # the final sigma
    paired = sorted(set().union(*(a | b for a, b in pairs)) - suspects)
    kind_of = {c: sum((c in s) << k for k, s in enumerate(side[n] for n in (0, 1) for side in pairs)) for c in paired}
    merge_nearest(kind_of, SUSPECT - 1)
    kinds = {kind: i for i, kind in enumerate(dict.fromkeys(kind_of.values()), 1)}
    classes = {c: kinds[kind] for c, kind in kind_of.items()}
    follows = [0] * 32
    for first, i in kinds.items():
        for second, j in kinds.items():
            if first & second >> len(pairs):
                follows[i] |= 1 << j
    classes.update(dict.fromkeys(suspects, SUSPECT))
    return classes, follows


def merge_nearest(kind_of: dict[int, int], limit: int) -> None:
    """Merge the most alike kinds until `limit` are left. A merged kind has the neighbours of both: never fewer."""
    while len(kinds := sorted(set(kind_of.values()))) > limit:
        _, a, b = min(((a ^ b).bit_count(), a, b) for i, a in enumerate(kinds) for b in kinds[:i])
        kind_of.update({c: a | b for c, kind in kind_of.items() if kind in (a, b)})


def table(entry: Callable[[int], int]) -> bytes:
    """A two-level table: a byte per page of 256 code points, then the distinct pages, 16 bits an entry."""
    index, pages = bytearray(), {}
    for start in range(0, 0x110000, PAGE):
        page = b"".join(entry(c).to_bytes(2, "little") for c in range(start, start + PAGE))
        index.append(pages.setdefault(page, len(pages)))
    return bytes(index) + b"".join(pages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the files, write nothing")
    check = parser.parse_args().check
    if unicodedata.unidata_version != "14.0.0":
        sys.exit("make_unicode.py: needs Python 3.11, whose Unicode version is 14.0.0")
    ranks = {k: i for i, k in enumerate(sorted({unicodedata.combining(chr(c)) for c in CODE_POINTS}))}
    assert len(ranks) <= 64
    lower, composes = lowercase(), composing()
    classes, follows = cleaning(lower)

    def entries(kind: Callable[[int], int], clean: dict[int, int]) -> bytes:
        def entry(c: int) -> int:
            if 0xD800 <= c <= 0xDFFF:
                return 0
            bits = kind(c) | (LOWERS if c in lower else 0) | (COMPOSES if c in composes else 0)
            return bits | ranks[unicodedata.combining(chr(c))] << COMBINING | clean.get(c, 0) << CLEANING

        return table(entry)

    long = [c for c, s in lower.items() if len(s) > 1]
    assert [lower[c] for c in long] == ["i\u0307"], "unicode.rs knows one long mapping, of U+0130"
    files = {
        "onig.bin": entries(onig_class(), {}),
        "regex.bin": entries(regex_class(), classes),
        "lowercase.bin": b"".join(
            c.to_bytes(4, "little") + ord(s[0]).to_bytes(4, "little") for c, s in sorted(lower.items())
        ),
        "mojibake.bin": b"".join(bits.to_bytes(4, "little") for bits in follows),
    }
    for name, content in files.items():
        if check and (DATA / name).read_bytes() != content:
            sys.exit(f"make_unicode.py: {name} differs from what the installed references give")
        if not check:
            (DATA / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
