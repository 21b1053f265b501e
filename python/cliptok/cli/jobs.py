"""`cliptok tokenize --out` and `cliptok embed`: their options, and the jobs that these ask for."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cliptok.batch import Report
    from cliptok.tokenizer.tokenizer import Tokenizer

FILES = ".txt, .jsonl, .csv, .tsv, .parquet and WebDataset .tar, also .gz, .zst, .bz2 and .xz"


def add_tokenize(parser: argparse.ArgumentParser) -> None:
    """The options of `tokenize` but those of its tokenizer."""
    _add_files(parser, is_out_required=False)
    parser.add_argument(
        "--dtype", choices=("uint16", "int32", "int64"), default="int32", help="of ids (default: %(default)s)"
    )
    parser.add_argument(
        "--lists",
        choices=("variable", "fixed"),
        help="fixed pads every text to --max-length (default: variable in Parquet; npy and safetensors are fixed)",
    )
    _add_job(parser)


def add_embed(parser: argparse.ArgumentParser) -> None:
    """The options of `embed` but those of its tokenizer."""
    _add_files(parser, is_out_required=True)
    parser.add_argument("--model", required=True, help="an encoder's folder, file or hub name")
    parser.add_argument("--subfolder", help="where the encoder is in it, such as text_encoder")
    parser.add_argument("--device", help="default: cuda if there is one, else cpu")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), help="default: the checkpoint's")
    parser.add_argument(
        "--output",
        choices=("text_embeds", "pooler_output", "hidden"),
        help="default: text_embeds, or pooler_output where there is no projection; hidden is every position's state",
    )
    parser.add_argument("--normalize", action="store_true", help="divide embeddings by their length")
    _add_job(parser)


def _add_files(parser: argparse.ArgumentParser, is_out_required: bool) -> None:
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+" if is_out_required else "*",
        default=None if is_out_required else ["-"],
        help=f"files, folders or quoted globs of {FILES}; - is text on standard input",
    )
    parser.add_argument(
        "-o",
        "--out",
        required=is_out_required,
        type=Path,
        help="a folder, or for one input a file: .parquet, .npy or .safetensors",
    )
    parser.add_argument(
        "--format", choices=("parquet", "npy", "safetensors"), help="of the files in a folder (default: parquet)"
    )
    parser.add_argument("--column", help="the column or field with the texts; in a tar the extension (default: txt)")
    parser.add_argument(
        "--keep", metavar="NAMES", help="other columns to carry along into Parquet, with commas between; * is all"
    )


def _add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--on-null", choices=("error", "empty", "skip"), default="error", help="default: %(default)s")
    add_on_undecodable(parser)
    parser.add_argument("--resume", action="store_true", help="leave outputs that are finished as they are")
    parser.add_argument(
        "--ray",
        nargs="?",
        const=True,
        default=False,
        metavar="ADDRESS",
        help="run on a Ray cluster that sees the same files (default: the one Ray finds, or one here)",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on standard output")


def add_on_undecodable(parser: argparse.ArgumentParser) -> None:
    """The option that `report` has too."""
    parser.add_argument(
        "--on-undecodable",
        choices=("error", "replace", "skip"),
        default="error",
        help="what is no UTF-8 (default: %(default)s)",
    )


def tokenize(options: argparse.Namespace, tok: "Tokenizer") -> int:
    """Run the job that the options ask for, and print its summary."""
    from cliptok.batch import tokenize_files

    return _summary(options, tokenize_files(options.inputs, tokenizer=tok, lists=options.lists, **_common(options)))


def embed(options: argparse.Namespace, tok: "Tokenizer") -> int:
    """Run the job that the options ask for, and print its summary."""
    from cliptok.batch import embed_files

    names = ("model", "subfolder", "device", "output", "normalize")
    own = {name: getattr(options, name) for name in names}
    return _summary(options, embed_files(options.inputs, tokenizer=tok, **own, **_common(options)))


def _common(options: argparse.Namespace) -> dict[str, Any]:
    names = ("out", "format", "column", "max_length", "dtype", "on_null", "on_undecodable", "resume", "ray")
    keep = options.keep.split(",") if options.keep else ()
    return {**{name: getattr(options, name) for name in names}, "keep": keep}


def _summary(options: argparse.Namespace, report: "Report") -> int:
    if options.json:
        print(report.to_json())
    else:
        print(report, file=sys.stderr)
    return 0
