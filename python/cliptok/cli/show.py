"""`cliptok show`: one text's tokens for human eyes."""

import argparse
import os
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

from cliptok._common.errors import BadInputError
from cliptok.cli.inputs import add_reading, reading_values
from cliptok.cli.parser import add_command
from cliptok.cli.prompts import add_dialect, show_prompt
from cliptok.cli.tokenizers import add_tokenizer, load, row_length

if TYPE_CHECKING:
    from cliptok.tokenizer.tokenizer import Tokenizer

_COLOURS = ("\x1b[48;5;24m", "\x1b[48;5;58m")
_SPECIAL = "\x1b[2m"
_TRUNCATED = "\x1b[9;31m"
_PLAIN = "\x1b[0m"


def add(commands: Any) -> None:
    """`cliptok show`."""
    parser = add_command(
        commands,
        "show",
        "show the tokens of a text, their ids and what would be truncated",
        "Show the tokens of a text, their ids, and which of them do not fit and would be truncated.",
        [
            'cliptok show "a highres photo of a woman wearing a red dress"',
            "cliptok show --file captions.parquet --column caption --first 3",
            'cliptok show --compare a1111,comfyui,compel "(a red fox:1.3) BREAK night"',
        ],
    )
    parser.add_argument("text", metavar="TEXT", nargs="?", help="the text")
    parser.add_argument("--file", dest="inputs", action="append", help="the first texts of a file instead; - is stdin")
    parser.add_argument("--first", type=int, metavar="N", help="with --file: how many texts (default: 10)")
    add_reading(parser)
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: on a terminal")
    add_dialect(parser)
    add_tokenizer(parser)
    parser.set_defaults(run=show)


def show(options: argparse.Namespace) -> int:
    """Print for each text its tokens in a row, then a table of ids, then what would be truncated."""
    if (options.text is None) == (options.inputs is None):
        raise BadInputError("show TEXT, or texts of a --file: one of the two")
    if options.inputs is None:
        if options.first is not None or any(value != unset for _, value, unset in reading_values(options)):
            raise BadInputError("--first and the options for reading files need --file")
        try:
            options.text.encode()
        except UnicodeEncodeError:
            raise BadInputError("TEXT is not UTF-8") from None
    if options.first is not None and options.first < 1:
        raise BadInputError(f"--first is {options.first}; expected 1 or more")
    if options.family is not None and not (options.dialect or options.compare):
        raise BadInputError("--family is for --dialect and --compare")
    if options.dialect or options.compare:
        if options.text is None:
            raise BadInputError("--dialect and --compare take TEXT; for a file there is `cliptok prompts check`")
        return show_prompt(options, _wants_colour(options.color))
    tok, colour = load(options), _wants_colour(options.color)
    for number, text in enumerate([options.text] if options.inputs is None else _first(options)):
        if number:
            print("-" * 40)
        _show(tok, text, row_length(options, tok), colour)
    return 0


def _first(options: argparse.Namespace) -> list[str]:
    from cliptok.cli.texts import chunks

    count = 10 if options.first is None else options.first
    with chunks(options, "skip") as (found, _):
        return [str(text) for text in islice((text for texts in found for text in texts), count)]


def _show(tok: "Tokenizer", text: str, max_length: int, colour: bool) -> None:
    tokens, ids = tok.tokenize(text), tok._tokens.engine.encode(text)
    room = max_length - 2
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
