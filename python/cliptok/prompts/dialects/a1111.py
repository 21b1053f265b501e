"""AUTOMATIC1111's web UI 1.10 and Forge."""

from __future__ import annotations

import dataclasses

from cliptok.prompts.dialects.dialect import Dialect

_EDITING = {"prompt_editing": True, "comments": True, "extra_networks": True}

A1111 = Dialect(
    name="a1111",
    grammar="a1111",
    chunking="a1111",
    weighting="scale-mean",
    layers="a1111",
    pooled="first",
    fill="empty",
    tokenizers={"l": "transformers-slow", "h": "open_clip", "g": "open_clip"},
    settings={
        "clip_skip": None,
        "clip_skip_sdxl": False,
        "emphasis": "original",
        "comma_backtrack": 20,
        "per_prompt": False,
        "zero_empty_negative": True,
        **_EDITING,
    },
    quirks={
        "batch-mean": "the mean is restored for each prompt, not over the batch",
        "merged-words": "neighbours of equal weight stay pieces of their own",
        "break-in-brackets": "BREAK inside brackets begins a chunk",
        "capital-and": "AND is a word like others in a prompt that is all capitals",
        "weight-at-end": "a number after a colon at the end is text, unless the prompt has an AND",
        "moved-inversion": "a textual inversion that moves to the next chunk takes its vectors along",
    },
    schedules="a1111",
    zero_pad=("h", "g"),
)

FORGE = dataclasses.replace(
    A1111,
    name="forge",
    layers="forge",
    tokenizers={"l": "transformers-slow", "h": "transformers-slow", "g": "transformers-slow"},
    settings={
        name: value for name, value in A1111.settings.items() if name not in ("clip_skip_sdxl", "comma_backtrack")
    },
)

DIALECTS = (A1111, FORGE)
