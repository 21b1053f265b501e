"""The settings of a call: which there are, what they may be, and which ones a dialect knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cliptok.prompts.chunking.compel import SPLITS
from cliptok.prompts.dialects.dialect import FILLS, Dialect

EMPHASES = ("original", "no norm", "ignore", "none", "old")
INTERPRETATIONS = ("comfy", "A1111", "compel", "comfy++", "down_weight")
NORMALIZATIONS = ("none", "mean", "length", "length+mean")

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "emphasis": EMPHASES,
    "interpretation": INTERPRETATIONS,
    "normalization": NORMALIZATIONS,
    "split": SPLITS,
    "cls": ("keep", "copy", "merge"),
    "downweight": ("mask", "remove"),
}
_INTEGERS = ("comma_backtrack", "max_embeddings_multiples")


def settings_for(dialect: Dialect, given: Mapping[str, Any]) -> dict[str, Any]:
    """The dialect's settings with the given ones over them.

    Raises TypeError for a setting that the dialect does not know, ValueError for a value that it cannot have.
    """
    settings = {"fill": dialect.fill, **dialect.settings}
    for name, value in given.items():
        if name not in settings:
            raise TypeError(
                f"the dialect {dialect.name!r} has no setting {name!r}; it has {', '.join(sorted(settings))}"
            )
        _check(name, value, settings[name])
        settings[name] = value
    return settings


def _check(name: str, value: Any, default: Any) -> None:
    choices = FILLS if name == "fill" else _CHOICES.get(name)
    if choices is not None:
        if value not in choices:
            raise ValueError(f"{name} is {value!r}; choose one of {', '.join(choices)}")
    elif name == "clip_skip":
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise TypeError(f"clip_skip must be a number or None, not {value!r}")
    elif name in _INTEGERS:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{name} must be a whole number of at least 0, not {value!r}")
    elif name == "balance":
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"balance must be between 0 and 1, not {value!r}")
    elif not isinstance(value, bool) and not (value is None and default is None):
        raise TypeError(f"{name} must be True or False, not {value!r}")


def quirks_for(dialect: Dialect, quirks: str | Iterable[str]) -> list[str]:
    """The names of the oddities to mend: none for "exact", all for "fixed", or those given."""
    if quirks == "exact":
        return []
    if quirks == "fixed":
        return sorted(dialect.quirks)
    names = [quirks] if isinstance(quirks, str) else list(quirks)
    for name in names:
        if name not in dialect.quirks:
            raise ValueError(
                f'quirks has {name!r}; give "exact", "fixed", or some of {", ".join(dialect.quirks) or "none"}'
            )
    return sorted(names)
