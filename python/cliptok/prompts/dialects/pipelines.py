"""diffusers' own pipelines, and the long weighted prompt pipelines of its community."""

from __future__ import annotations

from cliptok.prompts.dialects.dialect import Dialect

_OWN = {"l": "own", "h": "own", "g": "own"}

DIFFUSERS = Dialect(
    name="diffusers",
    grammar="plain",
    chunking="one-row",
    weighting="none",
    layers="diffusers",
    pooled="first",
    fill="empty",
    tokenizers=_OWN,
    settings={"clip_skip": None, "zero_empty_negative": None},
    quirks={},
)

LPW = Dialect(
    name="lpw",
    grammar="lpw",
    chunking="lpw",
    weighting="scale-mean-prompt",
    layers="lpw",
    pooled="first",
    fill="empty",
    tokenizers=_OWN,
    settings={
        "clip_skip": None,
        "max_embeddings_multiples": 3,
        "no_boseos_middle": False,
        "skip_parsing": False,
        "skip_weighting": False,
    },
    quirks={},
)

LPW_XL = Dialect(
    name="lpw-xl",
    grammar="sd_embed",
    chunking="blocks",
    weighting="last",
    layers="sd_embed",
    pooled="last",
    fill="empty",
    tokenizers=_OWN,
    settings={"clip_skip": None, "half_weights": True, "clip_skip_negative": False, "join_prompts": True},
    quirks={
        "break-word": 'BREAK begins a chunk, and is not the word "break" at weight -1',
        "last-pooled": "pooled outputs are of the first chunk",
        "joined-prompts": "prompt_2 goes to the second encoder",
    },
)

SD_EMBED = Dialect(
    name="sd_embed",
    grammar="sd_embed",
    chunking="padded-blocks",
    weighting="scale",
    layers="sd_embed",
    pooled="last",
    fill="empty",
    tokenizers=_OWN,
    settings={
        "clip_skip": None,
        "half_weights": True,
        "clip_skip_negative": True,
        "two_prompts": False,
        "pad_last_block": False,
        "empty_word": True,
    },
    quirks={
        "break-word": LPW_XL.quirks["break-word"],
        "last-pooled": LPW_XL.quirks["last-pooled"],
        "empty-word": 'an empty prompt is empty, and not the word "empty"',
    },
    schedules="old",
    family_weightings={"sdxl-refiner": "last"},
)

DIALECTS = (DIFFUSERS, LPW, LPW_XL, SD_EMBED)
