"""The references' own cleaning, in Python. The engine calls it for the texts that ftfy or html could change.

ftfy is imported at the first such text: most runs never need it.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

# What `\s` means to the `regex` package, which the reference uses: the standard library adds U+001C to U+001F.
_WHITESPACE = re.compile(r"[^\S\x1c-\x1f]+")


@cache
def _fix_text() -> Callable[[str], Any]:
    import ftfy

    return ftfy.fix_text


def clean_slow(text: str) -> str:
    """What transformers 4's CLIPTokenizer does with ftfy present: ftfy, whitespace, `str.lower`."""
    return _WHITESPACE.sub(" ", _fix_text()(text)).strip().lower()


def clean_openai(text: str) -> str:
    """What `clip.tokenize` and open_clip do: ftfy, html entities twice, whitespace, `str.lower`."""
    from html import unescape

    fixed: str = unescape(unescape(_fix_text()(text)))
    return " ".join(fixed.split()).lower()
