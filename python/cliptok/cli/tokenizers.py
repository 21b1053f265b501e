"""Which tokenizer a command uses: the options that name it, and loading it."""

import argparse
from typing import TYPE_CHECKING

from cliptok.tokenizer.profiles import PROFILES

if TYPE_CHECKING:
    from cliptok.tokenizer.tokenizer import Tokenizer


def add_tokenizer(parser: argparse.ArgumentParser, length: str = "the tokenizer's own") -> None:
    """The options that every command with a tokenizer has."""
    parser.add_argument("--profile", choices=tuple(PROFILES), help="whose ids (default: transformers)")
    parser.add_argument(
        "--tokenizer", metavar="FOLDER", help="a tokenizer's folder or hub name (default: CLIP's own vocabulary)"
    )
    parser.add_argument("--max-length", type=_length, metavar="N", help=f"ids per text (default: {length})")


def _length(value: str) -> int:
    try:
        length = int(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number") from None
    if not 2 <= length <= 1 << 20:
        raise argparse.ArgumentTypeError(f"{length} is not between 2 and {1 << 20}")
    return length


def load(options: argparse.Namespace) -> "Tokenizer":
    """The tokenizer that the options name."""
    from cliptok.tokenizer.tokenizer import Tokenizer

    if options.tokenizer is None:
        return Tokenizer(options.profile or "transformers")
    subfolder = getattr(options, "tokenizer_subfolder", None) or ""
    return Tokenizer.from_pretrained(options.tokenizer, profile=options.profile, subfolder=subfolder)


def row_length(options: argparse.Namespace, tok: "Tokenizer") -> int:
    """Ids in a row: what the options say, or the tokenizer's own length."""
    length: int | None = options.max_length
    return tok._row_length if length is None else length
