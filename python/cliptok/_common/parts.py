"""Long lists and arrays, part by part: Ctrl-C waits while one call of C goes through all that it is given."""

from collections.abc import Iterator
from typing import Any

AT_ONCE = 1 << 18
"""Items between two looks for Ctrl-C."""


def parts(values: Any) -> Iterator[Any]:
    """Slices of at most AT_ONCE items."""
    for begin in range(0, len(values), AT_ONCE):
        yield values[begin : begin + AT_ONCE]
