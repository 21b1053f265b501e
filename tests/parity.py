"""Compare ids with the references on every line of every corpus, in all four profiles.

usage: parity.py

Prints the lines compared and the mismatches of each profile and corpus, then the totals. Ends with status 1 when a
line differs, or when the corpora are not all there.
"""

import sys

from cliptok import Tokenizer
from support.corpora import LINES, SHARED, corpora, unequal_lines
from support.references import PROFILES

_SHOWN = 3


def main() -> int:
    """The exit status."""
    files = corpora()
    if not files:
        print(f"no corpora in {SHARED}; set CLIPTOK_SHARED to the folder with corpora and refs", file=sys.stderr)
        return 1
    width = max(len(corpus.name) for corpus in files)
    lines, mismatches = dict.fromkeys(PROFILES, 0), dict.fromkeys(PROFILES, 0)
    examples: list[str] = []
    for corpus in files:
        texts = corpus.texts()
        for profile, tok in _TOKENIZERS.items():
            packed = tok.encode_packed(texts)
            expected = corpus.reference(profile)
            wrong = unequal_lines(packed, expected)
            lines[profile] += len(texts)
            mismatches[profile] += len(wrong)
            print(f"{profile:<18} {corpus.name:<{width}} {len(texts):>7} lines {len(wrong):>6} mismatches")
            examples += [f"{profile} {corpus.name}:{line + 1} {texts[line][:200]!r}" for line in wrong[:_SHOWN]]
    print()
    for profile in PROFILES:
        print(f"{profile:<18} {'all':<{width}} {lines[profile]:>7} lines {mismatches[profile]:>6} mismatches")
    total = sum(mismatches.values())
    print(f"\n{total} mismatches in {sum(lines.values()):,} lines: {lines[PROFILES[0]]:,} x {len(PROFILES)} profiles")
    print("".join(f"\n  {example}" for example in examples), end="")
    complete = all(count == LINES for count in lines.values())
    if not complete:
        print(f"the corpora should have {LINES:,} lines", file=sys.stderr)
    return 0 if total == 0 and complete else 1


_TOKENIZERS = {profile: Tokenizer(profile) for profile in PROFILES}

if __name__ == "__main__":
    sys.exit(main())
