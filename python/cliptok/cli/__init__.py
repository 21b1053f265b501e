"""The command `cliptok`: tokenize, embed, show, count and report."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cliptok._common.errors import BadInputError
from cliptok._engine import __version__
from cliptok.cli import jobs
from cliptok.cli.tokenizers import add_tokenizer, load

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
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a terminal's encoding lacks is shown escaped; Windows' often have a few hundred characters.
        sys.stdout.reconfigure(errors="backslashreplace")
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
    jobs.add_tokenize(tokenize)
    add_tokenizer(tokenize)
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
    jobs.add_embed(embed)
    add_tokenizer(embed, "the encoder's positions")
    embed.set_defaults(run=_embed)

    show = commands.add_parser(
        "show",
        help="show the tokens of one text, their ids and what would be truncated",
        description="Show the tokens of one text, their ids, and which of them do not fit and would be truncated.",
        epilog='example:\n  cliptok show "a highres photo of a woman wearing a red dress"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("text", metavar="TEXT", help="the text")
    show.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: on a terminal")
    add_tokenizer(show)
    show.set_defaults(run=_show)

    count = commands.add_parser(
        "count",
        help="count the tokens of a file",
        description="Count lines, tokens (start and end included) and the lines that would be truncated.",
        epilog="example:\n  cliptok count captions.txt",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_input(count)
    count.add_argument("--each", action="store_true", help="print the tokens of each line instead")
    add_tokenizer(count)
    count.set_defaults(run=_count)

    report = commands.add_parser(
        "report",
        help="write an HTML page about the texts of a file",
        description="Write one HTML page: how long the texts are and what is truncated, words of many tokens, and where"
        " the profiles transformers and open_clip differ.",
        epilog="examples:\n  cliptok report captions.txt\n  cliptok report data.parquet --column caption -o data.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_input(report, f"{jobs.FILES}; other names and - for standard input are text, one per line")
    report.add_argument(
        "--column", metavar="NAME", help="of a table (default: the only one with strings; in a tar txt)"
    )
    report.add_argument(
        "-o", "--out", type=Path, metavar="PAGE.html", default=Path("report.html"), help="default: %(default)s"
    )
    jobs.add_on_undecodable(report)
    add_tokenizer(report)
    report.set_defaults(run=_report)
    return parser


def _add_input(
    parser: argparse.ArgumentParser, what: str = "UTF-8 text, one text per line; - is standard input"
) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help=what)


def _tokenize(options: argparse.Namespace) -> int:
    if options.out is None:
        from cliptok.cli.lines import print_ids

        return print_ids(options)
    return jobs.tokenize(options, load(options))


def _embed(options: argparse.Namespace) -> int:
    return jobs.embed(options, load(options))


def _show(options: argparse.Namespace) -> int:
    from cliptok.cli.show import show

    return show(options)


def _count(options: argparse.Namespace) -> int:
    from cliptok.cli.lines import count

    return count(options)


def _report(options: argparse.Namespace) -> int:
    from cliptok.cli.report import report

    return report(options)
