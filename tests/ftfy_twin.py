"""Compare the engine's cleaning with ftfy and Python on generated strings.

usage: ftfy_twin.py [COUNT] [FIRST_SEED]

COUNT strings (ten million by default), on all cores. Prints each string that differs, and the totals. Ends with status
1 when one differs.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor

from support.cleaning import differs
from support.dirty import strings

_PART = 20_000


def differing(seed: int) -> list[str]:
    """The strings of one seed on which the two differ."""
    return [text for text in strings(seed, _PART) if differs(text)]


def main() -> int:
    """The exit status."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    parts, wrong = -(-count // _PART), 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for done, texts in enumerate(pool.map(differing, range(first, first + parts)), 1):
            wrong += len(texts)
            print("".join(f"{text!r}\n" for text in texts), end="")
            if done % 50 == 0 or done == parts:
                print(f"{done * _PART:,} strings, {wrong} differ", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
