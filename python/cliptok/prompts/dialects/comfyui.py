"""ComfyUI's CLIPTextEncode, the advanced encode nodes on top of it, and SwarmUI's node."""

from __future__ import annotations

import dataclasses

from cliptok.prompts.dialects.dialect import Dialect

COMFYUI = Dialect(
    name="comfyui",
    grammar="comfyui",
    chunking="comfyui",
    weighting="empty",
    layers="comfyui",
    pooled="first",
    fill="repeat",
    tokenizers={"l": "transformers-basic", "h": "transformers-basic", "g": "transformers-basic"},
    settings={"clip_skip": None},
    quirks={"stray-close": "a ')' that closes nothing does not keep later brackets from opening"},
)

ADVANCED = dataclasses.replace(
    COMFYUI,
    name="comfyui-adv",
    weighting="advanced",
    settings={"clip_skip": None, "interpretation": "comfy", "normalization": "none", "balance": 0.5},
    quirks={**COMFYUI.quirks, "mask-token": "masked words become the comma that was meant, not a plus"},
)

SWARMUI = dataclasses.replace(
    COMFYUI,
    name="swarmui",
    grammar="swarmui",
    settings={"clip_skip": None, "prompt_editing": True},
    schedules="swarmui",
)

DIALECTS = (COMFYUI, ADVANCED, SWARMUI)
