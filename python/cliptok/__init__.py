"""The text half of CLIP: an exact, fast tokenizer and a text encoder.

Importing `cliptok` imports nothing heavy. NumPy and torch load when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cliptok._engine import __version__ as __version__
    from cliptok.encoder import TextEncoder as TextEncoder
    from cliptok.tokenizer import AddedToken as AddedToken
    from cliptok.tokenizer import BatchEncoding as BatchEncoding
    from cliptok.tokenizer import PackedTokens as PackedTokens
    from cliptok.tokenizer import Tokenizer as Tokenizer

__all__ = ["AddedToken", "BatchEncoding", "PackedTokens", "TextEncoder", "Tokenizer", "__version__"]

_HOMES = {
    "AddedToken": "cliptok.tokenizer",
    "BatchEncoding": "cliptok.tokenizer",
    "PackedTokens": "cliptok.tokenizer",
    "TextEncoder": "cliptok.encoder",
    "Tokenizer": "cliptok.tokenizer",
    "__version__": "cliptok._engine",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'cliptok' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
