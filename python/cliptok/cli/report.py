"""`cliptok report`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cliptok._common.errors import BadInputError
from cliptok._common.extras import need
from cliptok.cli.inputs import add_inputs, reading_options
from cliptok.cli.parser import add_command
from cliptok.cli.tokenizers import add_tokenizer, load
from cliptok.tokenizer.profiles import PROFILES

if TYPE_CHECKING:
    from cliptok.report.survey import Survey


def add(commands: Any) -> None:
    """`cliptok report`."""
    parser = add_command(
        commands,
        "report",
        "write an HTML page about the texts of files",
        "Write one HTML page: how long the texts are and what is truncated, words of many tokens, and where the"
        " profiles transformers and open_clip differ. With --against, two sets of files side by side; with"
        " --against-profile or --against-tokenizer, two tokenizers on the same texts.",
        [
            "cliptok report captions.txt",
            "cliptok report 'data/*.parquet' --column caption -o data.html",
            "cliptok report new.jsonl --column caption --against old.jsonl",
            "cliptok report captions.txt --against-profile open_clip",
        ],
    )
    add_inputs(parser, "*")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="PAGE.html", default=Path("report.html"), help="default: %(default)s"
    )
    parser.add_argument(
        "--against", action="append", metavar="INPUT", help="other files to compare, read in the same way"
    )
    parser.add_argument("--against-profile", choices=tuple(PROFILES), help="another profile to compare")
    parser.add_argument("--against-tokenizer", metavar="FOLDER", help="another tokenizer to compare")
    add_tokenizer(parser)
    parser.set_defaults(run=report)


def report(options: argparse.Namespace) -> int:
    """Write the page, and say in a line what it is about."""
    need("cliptok report", "pyarrow")
    from cliptok.report import compare_files, compare_tokenizers, write_report
    from cliptok.report.numbers import number, percent

    own = options.profile is not None or options.tokenizer is not None
    tok = load(options) if own else None
    out, length, reading = options.out, options.max_length, reading_options(options)
    if options.against and (options.against_profile or options.against_tokenizer):
        raise BadInputError(
            "--against compares files, --against-profile and --against-tokenizer tokenizers: one of these"
        )
    surveys: tuple[Survey, ...]
    if options.against:
        surveys = compare_files(options.inputs, options.against, out, tok, length, **reading)
    elif options.against_profile or options.against_tokenizer:
        other = argparse.Namespace(profile=options.against_profile, tokenizer=options.against_tokenizer)
        pair = tok or load(options), load(other)
        names = _named(options), _named(other)
        if names[0] == names[1]:
            raise BadInputError(f"both tokenizers are {names[0]}; name another to compare")
        surveys = compare_tokenizers(options.inputs, out, pair, names, length, **reading)
    else:
        surveys = (write_report(options.inputs, out, tok, length, **reading),)
    for survey in surveys:
        share = percent(survey.truncated, survey.texts)
        texts = number(survey.texts, "text")
        print(f"{texts}, {share} truncated at {survey.max_length}, in {out}", file=sys.stderr)
    return 0


def _named(options: argparse.Namespace) -> str:
    return " ".join(filter(None, (options.tokenizer, options.profile))) or "transformers"
