"""`cliptok show`: one text's tokens for human eyes."""

import argparse
import os
import sys

from cliptok._common.errors import BadInputError
from cliptok.cli.tokenizers import load, row_length

_COLOURS = ("\x1b[48;5;24m", "\x1b[48;5;58m")
_SPECIAL = "\x1b[2m"
_TRUNCATED = "\x1b[9;31m"
_PLAIN = "\x1b[0m"


def show(options: argparse.Namespace) -> int:
    """Print the tokens in a row, then a table of ids, then what would be truncated."""
    try:
        options.text.encode()
    except UnicodeEncodeError:
        raise BadInputError("TEXT is not UTF-8") from None
    tok = load(options)
    tokens, ids = tok.tokenize(options.text), tok._tokens.engine.encode(options.text)
    max_length = row_length(options, tok)
    room = max_length - 2
    colour = _wants_colour(options.color)
    start, end = tok._tokens.start_id, tok._tokens.end_id
    decoded = [tok.decode(id).strip() for id in ids]
    # A part of a character has no text of its own.
    texts = [token if "\ufffd" in text else text for text, token in zip(decoded, tokens, strict=True)]
    print(_line(texts, tokens, room, colour))
    print()
    width = max([len(token) for token in (*tokens, tok.bos_token or "", tok.eos_token or "")])
    rows = [(tok.bos_token or "", start), *zip(tokens[:room], ids[:room], strict=True), (tok.eos_token or "", end)]
    for position, (token, id) in enumerate(rows):
        is_special = position in (0, len(rows) - 1)
        print(_row(str(position), token, id, width, _SPECIAL if colour and is_special else ""))
    for token, id in zip(tokens[room:], ids[room:], strict=True):
        print(_row("over", token, id, width, _TRUNCATED if colour else ""))
    total = len(ids) + 2
    print()
    if total <= max_length:
        print(f"{total} of {max_length} tokens")
    else:
        print(f"{total} tokens, {max_length} fit, {total - max_length} would be truncated")
    return 0


def _wants_colour(choice: str) -> bool:
    if choice == "auto":
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return choice == "always"


def _line(texts: list[str], tokens: list[str], room: int, colour: bool) -> str:
    """The text in its tokens, coloured in turn or with bars between; what does not fit struck out or in brackets."""
    pieces: list[str] = []
    for number, (text, token) in enumerate(zip(texts, tokens, strict=True)):
        space = " " if token.endswith("</w>") else ""
        if colour:
            style = _TRUNCATED if number >= room else _COLOURS[number % 2]
            pieces.append(f"{style}{text}{_PLAIN}{space}")
        else:
            opening = "[" if number == room else ""
            pieces.append(f"{opening}{text}{space or '|'}")
    line = "".join(pieces).rstrip("| ")
    return f"{line}]" if not colour and len(tokens) > room else line


def _row(position: str, token: str, id: int, width: int, style: str) -> str:
    row = f"{position:>5}  {id:>6}  {token:<{width}}".rstrip()
    return f"{style}{row}{_PLAIN}" if style else row
