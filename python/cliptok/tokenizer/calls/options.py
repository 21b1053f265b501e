"""The padding and truncation arguments of a call, worked out as transformers does."""

import os
from collections.abc import Iterable
from functools import lru_cache
from operator import index
from typing import Any, Final, NamedTuple

from cliptok.tokenizer.profiles import is_unlimited

_PADDING = ("longest", "max_length", "do_not_pad")
_TRUNCATION = ("only_first", "only_second", "longest_first", "do_not_truncate")
UNUSUAL = ("text_pair", "text_target", "text_pair_target", "is_split_into_words", "split_special_tokens")

_LONG = 1 << 16
"""Lengths from which on `Engine.row` takes none."""


class Strategies(NamedTuple):
    """The padding and truncation strategies of a call."""

    limit: int | None
    """Rows are truncated to so many ids, start and end included; None keeps texts whole."""
    padding: str | None
    """`longest`, `max_length` or None."""
    length: int
    """The length to pad to with `max_length`."""
    multiple: int | None
    """Padded lengths are multiples of this."""
    row: tuple[int | None, int] | None
    """`limit`, and what `Engine.row` pads to: where it can make the row of a text that is truncated at its end."""


class Returned(NamedTuple):
    """Which values a call returns beside `input_ids`: its `return_…` arguments."""

    attention_mask: bool = True

    token_type_ids: bool = False
    special_tokens_mask: bool = False
    offset_mapping: bool = False
    length: bool = False
    overflowing_tokens: bool = False


PLAIN: Final = Returned()
"""What most calls return."""


def strategies(*options: Any) -> Strategies:
    """What a call's padding, truncation, max_length, pad_to_multiple_of and add_special_tokens ask for, given the
    tokenizer's model_max_length. Raises ValueError or TypeError that names the argument at fault.
    """
    try:
        return _cached_strategies(*options)
    except TypeError:  # An argument that is not hashable is among the causes.
        return _strategies(*options)


def _strategies(
    padding: Any, truncation: Any, max_length: int | None, multiple: int | None, specials: bool, default_length: int
) -> Strategies:
    if max_length is not None:
        check_int("max_length", max_length, 0)
        if is_unlimited(max_length):  # A model_max_length given back, as diffusers' training scripts do.
            raise ValueError(
                f"max_length is {max_length:.0e}, which is no length: the tokenizer's files give no model_max_length;"
                " set tok.model_max_length = 77, or pass max_length=77"
            )
        if padding is False and truncation is None:  # A length alone asks for truncation.
            truncation = True
    if multiple is not None:
        check_int("pad_to_multiple_of", multiple, 1)
    padding = "longest" if padding is True else "do_not_pad" if padding is False else padding
    padding = _choice("padding", padding, _PADDING)
    if isinstance(truncation, bool) or truncation is None:
        truncates = bool(truncation)
    else:
        truncates = _choice("truncation", truncation, _TRUNCATION) is not None
        if truncation == "only_second":
            raise ValueError("truncation is 'only_second', and there is no second text; use True")
    if max_length is None:
        # A tokenizer without a length of its own has nothing to pad or truncate to.
        unlimited = is_unlimited(default_length)
        padding = None if unlimited and padding == "max_length" else padding
        truncates = truncates and not unlimited
        max_length = default_length
    if truncates and padding and multiple is not None and max_length % multiple:
        raise ValueError(
            f"max_length is {max_length}, no multiple of pad_to_multiple_of, {multiple},"
            " as truncation with padding needs"
        )
    # Start and end alone take two places: transformers leaves texts whole where those do not fit.
    limit = max_length if truncates and (max_length >= 2 or not specials) else None
    length = max_length if padding == "max_length" else 0
    has_row = multiple is None and limit not in (0, 1) and max(limit or 0, length) < _LONG
    row = (limit, length) if has_row else None
    return Strategies(limit, padding, max_length, multiple, row)


_cached_strategies = lru_cache(maxsize=64, typed=True)(_strategies)
"""Most calls of a program have the same options."""


def padded_length(how: Strategies, longest: int) -> int:
    """The length that rows are padded to when the longest has `longest` ids; longer rows stay as they are."""
    if how.padding is None:
        return 0
    length = longest if how.padding == "longest" else how.length
    return length if how.multiple is None else -(-length // how.multiple) * how.multiple


def check_stride(stride: Any, how: Strategies) -> None:
    """Raise ValueError for a stride that leaves no way forward, whether or not a text is long enough to notice.

    As transformers, it counts start and end even in a call that leaves them out.
    """
    check_int("stride", stride, 0)
    if how.limit is not None and how.limit >= 2 and stride > how.limit - 2:
        raise ValueError(f"stride is {stride}; it must be less than the {how.limit - 2} ids a row has room for")


def side(name: str, value: str) -> str:
    """`value` if it is a side, else a ValueError."""
    if value in ("right", "left"):
        return str(value)
    raise ValueError(f"{name} is {value!r}; choose 'right' or 'left'")


def unusual(arguments: dict[str, Any]) -> dict[str, Any]:
    """Those of the arguments that ask for something which CLIP's models have no use for, and transformers has.

    Raises TypeError for an argument that is unknown.
    """
    for name in arguments:
        if name not in UNUSUAL:
            raise TypeError(f"{name} is no argument of a tokenizer call")
    return {name: value for name, value in arguments.items() if value is not None and value is not False}


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> str | None:
    for choice in choices:
        if value == choice:
            return None if choice.startswith("do_not") else choice
    raise ValueError(f"{name} is {value!r}; choose True, False or one of {', '.join(choices)}")


def check_int(name: str, value: Any, least: int) -> None:
    """Raise TypeError unless `value` is an int, ValueError if it is less than `least`."""
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{name} is of type {type(value).__name__}; expected int")
    try:
        number = index(value)
    except TypeError as error:  # An array or tensor of several, or of other numbers.
        raise TypeError(f"{name} is of type {type(value).__name__}, and none that is an int") from error
    if number < least:
        raise ValueError(f"{name} is {number}; expected {least} or more")


def check_iterable(name: str, value: Any, expected: str) -> None:
    """Raise TypeError unless `value` can be iterated, by `__iter__`: what has items alone need not have a last one."""
    if not isinstance(value, Iterable):
        found = "None" if value is None else f"of type {type(value).__name__}"
        raise TypeError(f"{name} is {found}; expected {expected}")


def check_path(name: str, value: Any, expected: str) -> str:
    """The path or name as a str. Raises TypeError for anything else, and ValueError for one with no characters."""
    if not isinstance(value, (str, os.PathLike)):
        found = "None" if value is None else f"of type {type(value).__name__}"
        raise TypeError(f"{name} is {found}; expected {expected}")
    path = os.fspath(value)
    if not isinstance(path, str):
        raise TypeError(f"{name} is a path of bytes; expected {expected}")
    if not path:
        raise ValueError(f"{name} is empty; expected {expected}")
    return path


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """`value`, or a ValueError that lists the choices."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(choices)}")
    return str(value)
