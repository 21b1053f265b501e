"""`cliptok report`."""

import argparse
import sys

from cliptok.cli.tokenizers import load
from cliptok.report import write_report
from cliptok.report.numbers import number, percent


def report(options: argparse.Namespace) -> int:
    """Write the page, and say in a line what it is about."""
    own = options.profile is not None or options.tokenizer is not None
    tok = load(options) if own else None
    survey = write_report(options.file, options.out, options.column, tok, options.max_length, options.on_undecodable)
    truncated = percent(survey.truncated, survey.texts)
    print(
        f"{number(survey.texts, 'text')}, {truncated} truncated at {survey.max_length}, in {options.out}",
        file=sys.stderr,
    )
    return 0
