"""A dialect as data: the name of each of its parts, the settings it knows, the oddities that can be mended."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

GRAMMARS = ("plain", "a1111", "comfyui", "compel", "lpw", "sd_embed", "sdnext", "sdnext-a1111", "swarmui")
CHUNKINGS = ("one-row", "a1111", "comfyui", "compel", "lpw", "blocks", "padded-blocks")
WEIGHTINGS = ("none", "scale", "scale-mean", "scale-mean-prompt", "empty", "last", "compel", "advanced")
LAYERS = ("diffusers", "a1111", "forge", "comfyui", "compel", "lpw", "sd_embed", "sdnext")
POOLED = ("first", "last", "raw")
FILLS = ("empty", "zeros", "last", "repeat")
TOKENIZERS = ("own", "transformers", "transformers-slow", "transformers-basic", "open_clip", "openai")
PARTS = {
    "grammar": GRAMMARS,
    "chunking": CHUNKINGS,
    "weighting": WEIGHTINGS,
    "layers": LAYERS,
    "pooled": POOLED,
    "fill": FILLS,
}
"""The parts of a dialect that are named, and their names."""


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How one tool reads prompts, as named parts."""

    name: str
    """As in `DIALECTS`."""
    grammar: str
    """One of `GRAMMARS`: what the syntax is."""
    chunking: str
    """One of `CHUNKINGS`: how ids are cut into rows of 77."""
    weighting: str
    """One of `WEIGHTINGS`: what a weight does to the states."""
    layers: str
    """One of `LAYERS`: which hidden layer, and whether through the final LayerNorm."""
    pooled: str
    """One of `POOLED`: of the first chunk, the last chunk, or the raw text cut at 77."""
    fill: str
    """One of `FILLS`: how a shorter text comes to the length of a longer one."""
    tokenizers: Mapping[str, str]
    """For each role ("l", "g", "h") one of `TOKENIZERS`; "own" is the pipeline's."""
    settings: Mapping[str, Any]
    """The settings that the dialect knows, with its defaults."""
    quirks: Mapping[str, str]
    """What `quirks="fixed"` mends."""
    schedules: str | None = None
    """How prompts change over steps: "a1111", "old" (the web UI's rules before 1.6, without AND), "swarmui", or not."""
    family_weightings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Families for which the tool weights otherwise."""
    zero_pad: tuple[str, ...] = ()
    """Roles whose ids after the first end are 0 when they are encoded."""

    def __post_init__(self) -> None:
        for part, names in PARTS.items():
            if getattr(self, part) not in names:
                raise ValueError(f"{part} is {getattr(self, part)!r}; choose one of {', '.join(names)}")
        for role, name in self.tokenizers.items():
            if name not in TOKENIZERS:
                raise ValueError(f"the tokenizer of {role!r} is {name!r}; choose one of {', '.join(TOKENIZERS)}")

    def for_family(self, family: str) -> Dialect:
        """The dialect as its tool reads prompts for one family of models."""
        weighting = self.family_weightings.get(family, self.weighting)
        return self if weighting == self.weighting else dataclasses.replace(self, weighting=weighting)

    def with_parts(self, **parts: Any) -> Dialect:
        """The same dialect with other parts, such as `weighting="empty"`. Raises ValueError for an unknown name.

        A part brings the settings it needs: of a dialect that has it, where this one has none.
        """
        parts = {name: value for name, value in parts.items() if value is not None}
        if not parts:
            return self
        from cliptok.prompts.dialects import DIALECTS

        settings = dict(self.settings)
        for name, value in parts.items():
            for other in DIALECTS.values():
                if getattr(other, name) == value:
                    settings = {**{key: other.settings[key] for key in _needed(name, other)}, **settings}
        return dataclasses.replace(self, settings=settings, **parts)


_OF_PARTS = {
    "grammar": ("emphasis", "line_breaks", "prompt_editing", "comments", "extra_networks", "skip_parsing"),
    "chunking": ("comma_backtrack", "truncate_long_prompts", "split", "downweight", "max_embeddings_multiples"),
    "weighting": ("emphasis", "interpretation", "normalization", "balance", "per_prompt", "downweight", "cls"),
    "layers": ("clip_skip",),
}


def _needed(part: str, other: Dialect) -> list[str]:
    return [name for name in _OF_PARTS.get(part, ()) if name in other.settings]
