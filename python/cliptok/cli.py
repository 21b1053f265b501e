"""The command `cliptok`: tokenize, show, count and report, from files or standard input."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cliptok._engine import __version__
from cliptok.lines import BadInputError
from cliptok.profiles import PROFILES

if TYPE_CHECKING:
    from cliptok.tokenizer import Tokenizer

_EXAMPLES = """examples:
  cliptok show "a highres photo of a woman wearing a red dress"
  cliptok tokenize captions.txt -o ids.npy --max-length 77
  cliptok count captions.txt
  cliptok report captions.txt -o captions.html
  head -n 100 captions.txt | cliptok tokenize
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 for bad input."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except BadInputError as error:
        return _fail(str(error))
    except (OSError, ValueError, ImportError) as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read the output has seen enough. Python would complain once more when it closes it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130


def _fail(message: str) -> int:
    print(f"cliptok: {message}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cliptok",
        description="CLIP's tokenizer on the command line.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cliptok {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    tokenize = commands.add_parser(
        "tokenize",
        help="write each line's ids to a .npy file, or print them",
        description="Write the ids of each line as a row of an (n, max_length) array, padded, or print them unpadded.",
        epilog="example:\n  cliptok tokenize captions.txt -o ids.npy",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_input(tokenize)
    tokenize.add_argument("-o", "--output", type=Path, metavar="IDS.npy", help="write here instead of printing")
    tokenize.add_argument(
        "--dtype", choices=("uint16", "int32", "int64"), default="int64", help="of the array (default: %(default)s)"
    )
    _add_tokenizer(tokenize)
    tokenize.set_defaults(run=_tokenize)

    show = commands.add_parser(
        "show",
        help="show the tokens of one text, their ids and what would be cut",
        description="Show the tokens of one text, their ids, and which of them do not fit and would be cut.",
        epilog='example:\n  cliptok show "a highres photo of a woman wearing a red dress"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("text", metavar="TEXT", help="the text")
    show.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: on a terminal")
    _add_tokenizer(show)
    show.set_defaults(run=_show)

    count = commands.add_parser(
        "count",
        help="count the tokens of a file",
        description="Count lines and tokens, start and end of each line included, and the lines that would be cut.",
        epilog="example:\n  cliptok count captions.txt",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_input(count)
    count.add_argument("--each", action="store_true", help="print the tokens of each line instead")
    _add_tokenizer(count)
    count.set_defaults(run=_count)

    report = commands.add_parser(
        "report",
        help="write an HTML page about the texts of a file",
        description="Write one HTML page: how long the texts are and what is cut, words of many tokens, and where the"
        " profiles transformers and open_clip differ.",
        epilog="examples:\n  cliptok report captions.txt\n  cliptok report data.parquet --column caption -o data.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_input(report, "UTF-8 text, one text per line, or .parquet, .csv, .tsv or .jsonl; - is standard input")
    report.add_argument("--column", metavar="NAME", help="of a table (default: the only one with strings)")
    report.add_argument(
        "-o", "--output", type=Path, metavar="PAGE.html", default=Path("report.html"), help="default: %(default)s"
    )
    _add_tokenizer(report)
    report.set_defaults(run=_report)
    return parser


def _add_input(
    parser: argparse.ArgumentParser, what: str = "UTF-8 text, one text per line; - is standard input"
) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help=what)


def _add_tokenizer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", choices=tuple(PROFILES), help="whose ids (default: transformers)")
    parser.add_argument(
        "--tokenizer", metavar="FOLDER", help="a tokenizer's folder or hub name (default: CLIP's own vocabulary)"
    )
    parser.add_argument(
        "--max-length", type=_length, default=77, metavar="N", help="ids per text (default: %(default)s)"
    )


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
    from cliptok.tokenizer import Tokenizer

    if options.tokenizer is None:
        return Tokenizer(options.profile or "transformers")
    return Tokenizer.from_pretrained(options.tokenizer, profile=options.profile)


def _tokenize(options: argparse.Namespace) -> int:
    from cliptok.cli_files import tokenize

    return tokenize(options)


def _show(options: argparse.Namespace) -> int:
    from cliptok.cli_show import show

    return show(options)


def _count(options: argparse.Namespace) -> int:
    from cliptok.cli_files import count

    return count(options)


def _report(options: argparse.Namespace) -> int:
    from cliptok.cli_report import report

    return report(options)
