"""The options by which every command reads its inputs."""

import argparse
from collections.abc import Iterator
from typing import Any

FILES = ".txt, .jsonl, .csv, .tsv, .parquet, .arrow and WebDataset .tar, also .gz, .zst, .bz2 and .xz"
_READING = ("column", "on_undecodable", "input_format", "delimiter", "quotes", "header", "captions", "seed")


def add_inputs(parser: argparse.ArgumentParser, nargs: str) -> None:
    """The inputs and how to read them."""
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs=nargs,
        default=["-"],
        help=f"files, folders, quoted globs or URLs (s3://, gs://, hf://, https://) of {FILES}; - is standard input",
    )
    add_reading(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """How to read the inputs."""
    parser.add_argument(
        "--column",
        help="the column or field with the texts; in a tar the extension or a field, as in json.caption (default: txt)",
    )
    parser.add_argument(
        "--input-format",
        choices=("txt", "jsonl", "csv", "tsv", "parquet", "arrow", "tar"),
        help="what the inputs are, where their names do not say (default for standard input: txt)",
    )
    parser.add_argument("--delimiter", metavar="C", help="between the fields of CSV (default: a comma; in TSV a tab)")
    parser.add_argument(
        "--no-quotes", dest="quotes", action="store_false", help="quotes in CSV and TSV are text, as in CC3M's files"
    )
    parser.add_argument(
        "--no-header",
        dest="header",
        action="store_false",
        help="the first row of CSV and TSV has a text; --column is a number, from 1",
    )
    parser.add_argument(
        "--captions",
        choices=("first", "all", "random"),
        help="of a column of lists: the first text of each, all in rows of their own, or one by chance",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of --captions random (default: 0)")
    parser.add_argument(
        "--on-undecodable",
        choices=("error", "replace", "skip"),
        default="error",
        help="what is not UTF-8 (default: %(default)s)",
    )


def reading_values(options: argparse.Namespace) -> Iterator[tuple[str, Any, Any]]:
    """(name, value, default) of these options."""
    defaults = {"on_undecodable": "error", "quotes": True, "header": True}
    for name, value in reading_options(options).items():
        yield name, value, defaults.get(name)


def reading_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options for reading, as arguments of Python's functions."""
    return {name: getattr(options, name) for name in _READING}
