"""Which hidden states a forward pass keeps: all, none, or some by their numbers, as in transformers 5."""

from __future__ import annotations

import operator
from collections.abc import Sequence


def kept_states(wanted: bool | int | Sequence[int] | None, count: int) -> frozenset[int]:
    """The numbers, from 0 to `count` - 1, of the states that `output_hidden_states` asks for.

    True is all of them, False or None none, a whole number or several of them are those alone; negative ones count
    from the end. Raises TypeError for anything else, and ValueError for a number that no state has.
    """
    if wanted is None or isinstance(wanted, bool):
        return frozenset(range(count)) if wanted else frozenset()
    try:
        numbers = [operator.index(number) for number in (wanted if isinstance(wanted, Sequence) else [wanted])]
    except TypeError:
        raise TypeError(
            f"output_hidden_states is {wanted!r:.80}; expected True, False, or numbers of hidden states"
        ) from None
    for number in numbers:
        if not -count <= number < count:
            raise ValueError(f"output_hidden_states asks for number {number}, and there are {count}: 0 to {count - 1}")
    return frozenset(number % count for number in numbers)
