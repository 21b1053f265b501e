"""What compel's grammar finds: texts, weighted groups, swaps and LoRAs, and the units that prompts are made of."""

from __future__ import annotations

from typing import Any, NamedTuple


class Text(NamedTuple):
    text: str
    start: int
    end: int
    words: int = 1
    """More than 1 for words that were read at once."""


class Weighted(NamedTuple):
    weight: float
    items: list[Any]


class Swapped(NamedTuple):
    original: list[Any]
    edited: list[Any]
    options: dict[str, Any]
    start: int


class Lora(NamedTuple):
    name: str
    weight: float


class Unit(NamedTuple):
    members: list[list[Any]]
    weights: list[float]
    weight: float = 1.0
    normalize: bool = True
    blend: bool = False
