"""The command `cliptok`: tokenize, embed, show, count and report."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cliptok import cli_batch
from cliptok._engine import __version__
from cliptok.lines import BadInputError
from cliptok.profiles import PROFILES

if TYPE_CHECKING:
    from cliptok.tokenizer import Tokenizer

_EXAMPLES = """examples:
  cliptok show "a highres photo of a woman wearing a red dress"
  cliptok tokenize captions.txt -o ids.npy --max-length 77
  cliptok tokenize 'data/*.parquet' --column caption -o ids/ --resume
  cliptok embed captions.txt -o embeddings.npy --model openai/clip-vit-large-patch14
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
        description="CLIP's tokenizer and text encoder on the command line.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cliptok {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    tokenize = commands.add_parser(
        "tokenize",
        help="write the ids of the texts in files, or print them",
        description="Write the ids of the texts in files, one output for each input and with its stem. Without --out,"
        " print the ids of each line of a text file.",
        epilog="examples:\n"
        "  cliptok tokenize captions.txt -o ids.npy\n"
        "  cliptok tokenize 'data/*.parquet' --column caption -o ids/ --max-length 77 --resume\n"
        "  head -n 100 captions.txt | cliptok tokenize",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cli_batch.add_tokenize(tokenize)
    _add_tokenizer(tokenize)
    tokenize.set_defaults(run=_tokenize)

    embed = commands.add_parser(
        "embed",
        help="write the embeddings of the texts in files",
        description="Write the embeddings of the texts in files, one output for each input and with its stem.",
        epilog="example:\n"
        "  cliptok embed 'data/*.parquet' --column caption -o embeddings/ --model openai/clip-vit-large-patch14"
        " --normalize --resume",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cli_batch.add_embed(embed)
    _add_tokenizer(embed, max_length=None)
    embed.set_defaults(run=_embed)

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
    _add_input(report, f"{cli_batch.FILES}; other names and - for standard input are text, one per line")
    report.add_argument(
        "--column", metavar="NAME", help="of a table (default: the only one with strings; in a tar txt)"
    )
    report.add_argument(
        "-o", "--out", type=Path, metavar="PAGE.html", default=Path("report.html"), help="default: %(default)s"
    )
    cli_batch.add_on_undecodable(report)
    _add_tokenizer(report)
    report.set_defaults(run=_report)
    return parser


def _add_input(
    parser: argparse.ArgumentParser, what: str = "UTF-8 text, one text per line; - is standard input"
) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help=what)


def _add_tokenizer(parser: argparse.ArgumentParser, max_length: int | None = 77) -> None:
    parser.add_argument("--profile", choices=tuple(PROFILES), help="whose ids (default: transformers)")
    parser.add_argument(
        "--tokenizer", metavar="FOLDER", help="a tokenizer's folder or hub name (default: CLIP's own vocabulary)"
    )
    default = "%(default)s" if max_length else "the encoder's positions"
    parser.add_argument(
        "--max-length", type=_length, default=max_length, metavar="N", help=f"ids per text (default: {default})"
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
    if options.out is None:
        from cliptok.cli_files import print_ids

        return print_ids(options)
    return cli_batch.tokenize(options, load(options))


def _embed(options: argparse.Namespace) -> int:
    return cli_batch.embed(options, load(options))


def _show(options: argparse.Namespace) -> int:
    from cliptok.cli_show import show

    return show(options)


def _count(options: argparse.Namespace) -> int:
    from cliptok.cli_files import count

    return count(options)


def _report(options: argparse.Namespace) -> int:
    from cliptok.cli_report import report

    return report(options)
