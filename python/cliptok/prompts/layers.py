"""Which hidden layer a dialect conditions on, and whether it goes through the final LayerNorm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Layer(NamedTuple):
    """`depth` counts from 0, the embeddings, to the number of blocks; `final_norm` is the final LayerNorm."""

    depth: int
    final_norm: bool
    mixed: float = 0.0
    """How much of the layer before it is mixed in, before the LayerNorm."""


def layer_of(
    rule: str, family: str, role: str, blocks: int, full: bool, settings: Mapping[str, Any], negative: bool
) -> Layer:
    """The layer that a dialect's rule takes from an encoder of so many blocks.

    `full` says that an encoder of SD 2 has all its blocks: the published one for diffusers lacks the last, which no
    tool reads. Clip skip counts as each tool counts it; the dialects' pages say how. Raises ValueError for a clip skip
    that there is no layer for.
    """
    skip = settings.get("clip_skip")
    if skip is not None and skip != int(skip) and rule != "sdnext":
        raise ValueError(f"clip_skip {skip} is no whole number, which this dialect needs")
    xl = family not in ("sd1", "sd2", "flux")
    last = blocks - 1 if family == "sd2" and full else blocks
    layer = _RULES[rule](0 if skip is None else skip, skip is None, xl, family, role, last, settings, negative)
    if not 0 <= layer.depth - math.ceil(layer.mixed) <= layer.depth <= blocks:
        raise ValueError(f"clip_skip {skip} does not fit an encoder of {blocks} layers")
    return layer


def _diffusers(
    skip: int, none: bool, xl: bool, family: str, role: str, last: int, settings: Mapping[str, Any], negative: bool
) -> Layer:
    # The negative prompt ignores clip skip.
    skip = 0 if negative else skip
    return Layer(last - 1 - skip, False) if xl else Layer(last - skip, True)


def _a1111(
    skip: int, none: bool, xl: bool, family: str, role: str, last: int, settings: Mapping[str, Any], negative: bool
) -> Layer:
    if not xl:
        return Layer(last + 1 - max(skip, 1), True) if family == "sd1" else Layer(last, True)
    if role == "l" and settings.get("clip_skip_sdxl"):
        return Layer(last + 1 - max(skip, 1), False)
    return Layer(last - 1, False)


def _forge(
    skip: int, none: bool, xl: bool, family: str, role: str, last: int, settings: Mapping[str, Any], negative: bool
) -> Layer:
    return Layer(last + 1 - max(skip, 2), False) if xl else Layer(last + 1 - max(skip, 1), True)


def _comfyui(
    skip: int, none: bool, xl: bool, family: str, role: str, last: int, settings: Mapping[str, Any], negative: bool
) -> Layer:
    if xl:
        return Layer(last - 1 if none else last + 1 - skip, False)
    # ComfyUI counts the block of SD 2 that others cut off.
    return Layer(last if none else last + (2 if family == "sd2" else 1) - skip, True)


def _compel(
    skip: int, none: bool, xl: bool, family: str, role: str, last: int, settings: Mapping[str, Any], negative: bool
) -> Layer:
    normalized = settings.get("normalized")
    normalized = not xl if normalized is None else normalized
    return Layer(last + 1 - (skip or (2 if xl else 1)), normalized)


def _lpw(
    skip: int, none: bool, xl: bool, family: str, role: str, last: int, settings: Mapping[str, Any], negative: bool
) -> Layer:
    return Layer(last - 1 - skip, False) if xl else Layer(last - skip, True)


def _sd_embed(
    skip: int, none: bool, xl: bool, family: str, role: str, last: int, settings: Mapping[str, Any], negative: bool
) -> Layer:
    skip = 0 if negative and not settings.get("clip_skip_negative", True) else skip
    return Layer(last - 1 - skip, False) if xl else Layer(last - skip, True)


def _sdnext(
    skip: float, none: bool, xl: bool, family: str, role: str, last: int, settings: Mapping[str, Any], negative: bool
) -> Layer:
    skip = 1 if none else skip
    whole = math.floor(skip)
    return Layer(last - whole if xl else last + 1 - whole, not xl, skip - whole)


_RULES = {
    "diffusers": _diffusers,
    "a1111": _a1111,
    "forge": _forge,
    "comfyui": _comfyui,
    "compel": _compel,
    "lpw": _lpw,
    "sd_embed": _sd_embed,
    "sdnext": _sdnext,
}
