"""The references' own cleaning, in Python: ftfy, html and `str`."""

import re
from html import unescape

import ftfy

from cliptok import _engine

# What `\s` means to the `regex` package, which the reference uses: the standard library adds U+001C to U+001F.
_WHITESPACE = re.compile(r"[^\S\x1c-\x1f]+")


def cleaned_slow(fixed: str) -> str:
    """What transformers 4's CLIPTokenizer makes of a text that ftfy has fixed: whitespace, `str.lower`."""
    return _WHITESPACE.sub(" ", fixed).strip().lower()


def cleaned_openai(fixed: str) -> str:
    """What `clip.tokenize` and open_clip make of one: html entities twice, whitespace, `str.lower`."""
    return " ".join(unescape(unescape(fixed)).split()).lower()


def differs(text: str) -> bool:
    """Whether the engine cleans a text in another way than ftfy and Python, as ftfy alone or in any profile."""
    fixed = ftfy.fix_text(text)
    return (
        _engine.fix_text(text) != fixed
        or _engine.clean(text, "transformers-slow") != cleaned_slow(fixed)
        or _engine.clean(text, "open_clip") != cleaned_openai(fixed)
        or _engine.clean(text, "openai") != cleaned_openai(fixed)
    )
