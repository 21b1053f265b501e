"""The grammars by name: from the text of a prompt to its tree."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cliptok.prompts.grammars import comfyui, compel, emphasis, sdnext, swarmui
from cliptok.prompts.limits import Limits
from cliptok.prompts.tree import Parsed, Pieces


def read(
    grammar: str,
    text: str,
    settings: Mapping[str, Any],
    limits: Limits,
    fixed: Collection[str] = (),
    negative: bool = False,
) -> Parsed:
    """The tree of a prompt. `settings` are a dialect's, `fixed` the oddities to mend.

    Raises PromptError for what the dialect's tool cannot read.
    """
    if grammar == "plain" or settings.get("skip_parsing") or settings.get("emphasis") in ("none", "old"):
        return plain(text)
    if grammar == "a1111":
        return emphasis.parse(
            text, limits, merge="merged-words" not in fixed, break_in_brackets="break-in-brackets" in fixed
        )
    if grammar == "comfyui":
        return comfyui.parse(text, limits, stray_closes="stray-close" not in fixed)
    if grammar == "swarmui":
        return swarmui.parse(text, limits, stray_closes="stray-close" not in fixed)
    if grammar == "compel":
        return compel.parse(
            text, limits, drops_rest="text-after-and" not in fixed, keeps_escapes="kept-escapes" not in fixed
        )
    if grammar == "lpw":
        return emphasis.parse(text, limits, breaks=False, spaced=False)
    if grammar == "sd_embed":
        return emphasis.parse(text, limits, marker="break-word" in fixed, spaced=False)
    return sdnext.parse(
        text,
        limits,
        native=grammar == "sdnext",
        line_breaks=bool(settings.get("line_breaks", True)),
        negative=negative,
    )


def plain(text: str) -> Parsed:
    """A prompt without any syntax."""
    return Parsed.flat(text, Pieces([text], [1.0], [(0, len(text))]))
