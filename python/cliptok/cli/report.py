"""`cliptok report`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from cliptok.cli.inputs import add_inputs, reading_options
from cliptok.cli.parser import add_command
from cliptok.cli.tokenizers import add_tokenizer, load


def add(commands: Any) -> None:
    """`cliptok report`."""
    parser = add_command(
        commands,
        "report",
        "write an HTML page about the texts of files",
        "Write one HTML page: how long the texts are and what is truncated, words of many tokens, and where the"
        " profiles transformers and open_clip differ.",
        ["cliptok report captions.txt", "cliptok report data.parquet --column caption -o data.html"],
    )
    add_inputs(parser, "*")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="PAGE.html", default=Path("report.html"), help="default: %(default)s"
    )
    add_tokenizer(parser)
    parser.set_defaults(run=report)


def report(options: argparse.Namespace) -> int:
    """Write the page, and say in a line what it is about."""
    from cliptok.report import write_report
    from cliptok.report.numbers import number, percent

    own = options.profile is not None or options.tokenizer is not None
    tok = load(options) if own else None
    survey = write_report(options.inputs, options.out, tok, options.max_length, **reading_options(options))
    share = percent(survey.truncated, survey.texts)
    texts = number(survey.texts, "text")
    print(f"{texts}, {share} truncated at {survey.max_length}, in {options.out}", file=sys.stderr)
    return 0
