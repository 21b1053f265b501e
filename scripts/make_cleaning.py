"""Write the tables of the engine's cleaning, rust/engine/data/cleaning/*, from ftfy and Python themselves.

usage: python scripts/make_cleaning.py [--check]

Needs Python 3.11 (Unicode 14) and ftfy 6.3.1. `--check` writes nothing and fails where a table would change.

| file | what it holds |
| --- | --- |
| code_points.bin | 16 bits per code point, two-level: see rust/engine/src/cleaning/tables.rs |
| badness.bin | ftfy's test for mojibake as an automaton: see rust/engine/src/cleaning/badness.rs |
| mojibake.txt | per character its place in ftfy's clues and its byte in each codec that ftfy tries |
| entities.txt | html's named entities, and ftfy's in capitals, with the characters they stand for |
| replacements.txt | characters that ftfy replaces by themselves: C1 controls, ligatures, widths, quotes, line breaks |
| decompositions.txt | canonical decompositions; `!` where NFC does not compose them again |
"""

import argparse
import pathlib
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from html.entities import html5
from typing import NamedTuple

import ftfy
import ftfy.badness
from ftfy import chardata, fixes

DATA = pathlib.Path(__file__).parents[1] / "rust/engine/data/cleaning"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
PAGE = 256

REPLACED, CONTROL, NFC, LOWERS, SPACE, CASED, IGNORABLE, DIGIT = (1 << k for k in range(8, 16))
CLUES = ["utf8_first_of_2", "utf8_first_of_3", "utf8_first_of_4", "utf8_continuation", "utf8_continuation_strict"]


class Atom(NamedTuple):
    """One place of a sequence: what may stand there, and whether nothing may."""

    members: frozenset[int]
    optional: bool


class Sequence(NamedTuple):
    """One alternative of ftfy's expression, and whether it only matches at the beginning."""

    atoms: tuple[Atom, ...]
    anchored: bool


def members(op: str, argument: object) -> frozenset[int]:
    """The code points that one item of the parsed expression matches."""
    match op, argument:
        case "LITERAL", int(c):
            return frozenset([c])
        case "RANGE", (int(first), int(last)):
            return frozenset(range(first, last + 1))
        case "CATEGORY", category:
            pattern = re.compile({"CATEGORY_WORD": r"\w", "CATEGORY_SPACE": r"\s"}[str(category)])
            return frozenset(c for c in CODE_POINTS if pattern.match(chr(c)))
        case "ANY", _:
            return frozenset(CODE_POINTS) - {ord("\n")}
        case "IN", list(items):
            found = frozenset().union(*(members(str(o), a) for o, a in items if str(o) != "NEGATE"))
            return frozenset(CODE_POINTS) - found if str(items[0][0]) == "NEGATE" else found
    raise NotImplementedError(f"{op} in ftfy's expression")


def sequences(parsed: Iterable) -> Iterator[Sequence]:
    """The expression's alternatives."""
    found = [Sequence((), False)]
    for op, argument in parsed:
        match str(op):
            case "BRANCH":
                tails = [s for branch in argument[1] for s in sequences(branch)]
            case "MAX_REPEAT":
                least, most, ((inner, what),) = argument
                assert (least, most) == (0, 1), "only `?` is known"
                tails = [Sequence((Atom(members(str(inner), what), True),), False)]
            case "AT":
                assert str(argument) == "AT_BEGINNING"
                tails = [Sequence((), True)]
            case name:
                tails = [Sequence((Atom(members(name, argument), False),), False)]
        found = [Sequence(a.atoms + b.atoms, a.anchored or b.anchored) for a in found for b in tails]
    yield from found


def badness() -> tuple[list[int], bytes]:
    """The class of each code point, and the automaton: how many classes, then for each state the next by class.

    State 0 is the text's beginning, state 1 is mojibake found, for good.
    """
    all_sequences = list(dict.fromkeys(sequences(re._parser.parse(ftfy.badness.BADNESS_RE.pattern, re.VERBOSE))))
    sets = list(dict.fromkeys(atom.members for sequence in all_sequences for atom in sequence.atoms))
    bits = [0] * 0x110000
    for k, chosen in enumerate(sets):
        for c in chosen:
            bits[c] |= 1 << k
    signatures = sorted(set(bits))
    number = {signature: k for k, signature in enumerate(signatures)}
    number_of_set = {chosen: k for k, chosen in enumerate(sets)}

    def closed(state: Iterable[tuple[int, int]]) -> frozenset[tuple[int, int]]:
        found = set()
        for sequence, at in state:
            atoms = all_sequences[sequence].atoms
            found.add((sequence, at))
            while at < len(atoms) and atoms[at].optional:
                at += 1
                found.add((sequence, at))
        return frozenset(found)

    fresh = closed((k, 0) for k, sequence in enumerate(all_sequences) if not sequence.anchored)
    start = fresh | closed((k, 0) for k, sequence in enumerate(all_sequences) if sequence.anchored)
    found = "found"

    def step(state: frozenset[tuple[int, int]], signature: int) -> object:
        moved = closed(
            (k, at + 1)
            for k, at in state
            if at < len(all_sequences[k].atoms) and signature >> number_of_set[all_sequences[k].atoms[at].members] & 1
        )
        return found if any(at == len(all_sequences[k].atoms) for k, at in moved) else moved | fresh

    states: list = [start, found]
    index = {start: 0, found: 1}
    rows: list[list[int]] = []
    for state in states:
        row = []
        for signature in signatures:
            after = found if state == found else step(state, signature)
            if after not in index:
                index[after] = len(states)
                states.append(after)
            row.append(index[after])
        rows.append(row)
    rows = minimal(rows)
    assert max(len(rows), len(signatures)) <= 256, (len(rows), len(signatures))
    return [number[b] for b in bits], bytes([len(signatures)]) + b"".join(bytes(row) for row in rows)


def minimal(rows: list[list[int]]) -> list[list[int]]:
    """The same automaton with as few states as possible; 0 and 1 keep their numbers."""
    part = [int(state == 1) for state in range(len(rows))]
    while True:
        keys = [(part[s], tuple(part[to] for to in row)) for s, row in enumerate(rows)]
        numbers: dict = {keys[0]: 0, keys[1]: 1}
        refined = [numbers.setdefault(key, len(numbers)) for key in keys]
        if refined == part:
            break
        part = refined
    chosen = dict(zip(reversed(part), reversed(range(len(part))), strict=True))
    return [[part[to] for to in rows[chosen[k]]] for k in range(len(chosen))]


def is_final_sigma(before: str) -> bool:
    return (before + "Σ").lower().endswith("ς")


def flags(c: int, composes: set[int], replaced: dict[int, str]) -> int:
    s = chr(c)
    cased = is_final_sigma("1" + s)
    return (
        REPLACED * (c in replaced)
        | CONTROL * (c in chardata.CONTROL_CHARS)
        | NFC * (c in composes or unicodedata.combining(s) != 0)
        | LOWERS * (s.lower() != s)
        | SPACE * s.isspace()
        | CASED * cased
        | IGNORABLE * (is_final_sigma("A" + s) and not cased)
        | DIGIT * (re.match(r"\d", s) is not None)
    )


def composing() -> set[int]:
    """Code points that NFC replaces, or that may join what stands before them."""
    found: set[int] = set()
    for c in CODE_POINTS:
        if unicodedata.normalize("NFC", chr(c)) != chr(c):
            found.add(c)
        else:
            found.update(map(ord, unicodedata.normalize("NFD", chr(c))[1:]))
    return found


def replacements() -> dict[int, str]:
    """What becomes of a character by itself, in the order of ftfy's steps. A carriage return may belong to a pair."""
    steps = [fixes.fix_c1_controls, fixes.fix_latin_ligatures, fixes.fix_character_width, fixes.uncurl_quotes]
    steps.append(fixes.fix_line_breaks)
    found = {}
    for c in CODE_POINTS:
        s = chr(c)
        for step in steps:
            s = step(s)
        if s != chr(c):
            found[c] = s
    assert not any(s == "" or "\r" in s or "\x1b" in s for s in found.values())
    return found


def mojibake() -> str:
    clues = [re.compile(f"[{chardata.UTF8_CLUES[clue]}]") for clue in CLUES]
    lines = ["# character, clues as bits, " + ", ".join(chardata.CHARMAP_ENCODINGS)]
    for c in range(0x10000):
        if 0xD800 <= c <= 0xDFFF or (c < 0x80 and c not in (0x1A, 0x20)):
            continue
        s = chr(c)
        found = sum((clue.match(s) is not None) << k for k, clue in enumerate(clues))
        codecs = [s.encode(e)[0] if chardata.possible_encoding(s, e) else None for e in chardata.CHARMAP_ENCODINGS]
        if found or any(byte is not None for byte in codecs):
            lines.append(f"{c:04X} {found:02X} " + " ".join("--" if b is None else f"{b:02X}" for b in codecs))
    return "\n".join(lines) + "\n"


def code_points(text: str) -> str:
    return " ".join(f"{ord(s):04X}" for s in text)


def entities() -> str:
    """Names as html has them, some without a semicolon; behind `+`, those that only ftfy knows."""
    lines = [f"{name} {code_points(text)}" for name, text in sorted(html5.items())]
    own = {name: text for name, text in sorted(chardata.HTML_ENTITIES.items()) if name[1:] not in html5}
    assert all(chardata.HTML_ENTITIES["&" + name] == text for name, text in html5.items() if name.endswith(";"))
    return "\n".join(lines + [f"+{name[1:]} {code_points(text)}" for name, text in own.items()]) + "\n"


def decompositions() -> str:
    lines = []
    for c in CODE_POINTS:
        parts = unicodedata.decomposition(chr(c))
        if parts and not parts.startswith("<"):
            excluded = " !" if unicodedata.normalize("NFC", chr(c)) != chr(c) else ""
            lines.append(f"{c:04X} {parts}{excluded}")
    return "\n".join(lines) + "\n"


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
    if unicodedata.unidata_version != "14.0.0" or ftfy.__version__ != "6.3.1":
        sys.exit("make_cleaning.py: needs Python 3.11, whose Unicode version is 14.0.0, and ftfy 6.3.1")
    classes, automaton = badness()
    replaced, composes = replacements(), composing()

    def entry(c: int) -> int:
        return 0 if 0xD800 <= c <= 0xDFFF else classes[c] | flags(c, composes, replaced)

    files = {
        "code_points.bin": table(entry),
        "badness.bin": automaton,
        "mojibake.txt": mojibake().encode(),
        "entities.txt": entities().encode(),
        "replacements.txt": "".join(f"{c:04X} {code_points(s)}\n" for c, s in replaced.items()).encode(),
        "decompositions.txt": decompositions().encode(),
    }
    DATA.mkdir(exist_ok=True)
    for name, content in files.items():
        if check and (DATA / name).read_bytes() != content:
            sys.exit(f"make_cleaning.py: {name} differs from what the installed references give")
        if not check:
            (DATA / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
