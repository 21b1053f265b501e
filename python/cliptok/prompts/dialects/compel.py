"""compel, and the tools that encode with it."""

from __future__ import annotations

import dataclasses

from cliptok.prompts.dialects.dialect import Dialect

_OWN = {"l": "own", "h": "own", "g": "own"}

COMPEL = Dialect(
    name="compel",
    grammar="compel",
    chunking="compel",
    weighting="compel",
    layers="compel",
    pooled="raw",
    fill="empty",
    tokenizers=_OWN,
    settings={
        "clip_skip": None,
        "normalized": None,
        "truncate_long_prompts": False,
        "split": "sentences",
        "cls": "keep",
        "downweight": "mask",
    },
    quirks={
        "raw-pooled": "pooled outputs are of the prompt without its syntax",
        "text-after-and": "text after .and() is refused, not dropped",
        "kept-escapes": r"\+ \- \. \, \= lose their backslash",
        "short-chunks": "a sentence or phrase that ends in a chunk's first half is no place to end the chunk",
    },
)

SDNEXT = dataclasses.replace(
    COMPEL,
    name="sdnext",
    grammar="sdnext",
    layers="sdnext",
    settings={
        "clip_skip": None,
        "line_breaks": True,
        "split": "sentences",
        "cls": "copy",
        "downweight": "mask",
        "truncate_long_prompts": False,
        "mean_norm": False,
        "te_pooled": False,
    },
    quirks={name: COMPEL.quirks[name] for name in ("raw-pooled", "short-chunks")},
    schedules="old",
)

INVOKEAI = dataclasses.replace(
    COMPEL,
    name="invokeai",
    fill="zeros",
    settings={**COMPEL.settings, "zero_empty": True, "blank_is_prompt": True},
)

DIALECTS = (COMPEL, SDNEXT, INVOKEAI)
