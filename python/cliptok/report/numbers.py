"""Numbers as a reader likes them."""

import math


def number(value: int, unit: str) -> str:
    """12,345 texts, 1 text."""
    return f"{value:,} {unit}{'' if value == 1 else 's'}"


def short(value: int) -> str:
    """A number for an axis: 800, 12k, 1.5M."""
    for size, suffix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return str(value)


def percent(part: int, whole: int) -> str:
    """A share with one decimal, or as many as keep it apart from 0% and 100%."""
    if part in (0, whole):
        return "100%" if part else "0%"
    nearest = 100 * min(part, whole - part) / whole
    return f"{100 * part / whole:.{max(1, math.ceil(-math.log10(nearest)))}f}%"
