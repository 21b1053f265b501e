"""`cliptok tokenize` and `cliptok embed`: their options, and the jobs that these ask for."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cliptok._common.errors import BadInputError
from cliptok._common.extras import need
from cliptok.cli.inputs import add_inputs, reading_options
from cliptok.cli.parser import add_command
from cliptok.cli.prompts import add_pipeline, pipeline_arguments
from cliptok.cli.tokenizers import add_tokenizer, load

if TYPE_CHECKING:
    from cliptok.batch import Report
    from cliptok.cli.parser import Parser

_RUNNING = ("part_rows", "processes", "json_log")
_FORMATS = ("parquet", "npy", "safetensors", "arrow", "tar", "lance")
_FILES_ONLY = (
    "format",
    "members",
    "dtype",
    "lists",
    "keep",
    "resume",
    "check",
    "overwrite",
    "dry_run",
    "ray",
    "json",
    *_RUNNING,
)
"""Options that mean nothing where ids are printed."""
_COMMON = (
    "out",
    "format",
    "members",
    "max_length",
    "resume",
    "check",
    "overwrite",
    "dry_run",
    "ray",
    "threads",
    "on_null",
    *_RUNNING,
)


def add_tokenize(commands: Any) -> None:
    """`cliptok tokenize`."""
    parser = add_command(
        commands,
        "tokenize",
        "write the ids of the texts in files, or print them",
        "Write the ids of the texts in files, one output for each input and with its stem. Without --out, print the ids"
        " of each text.",
        [
            "cliptok tokenize captions.txt -o ids.npy",
            "cliptok tokenize 'data/*.parquet' --column caption -o ids/ --max-length 77 --resume",
            "head -n 100 captions.txt | cliptok tokenize",
        ],
    )
    add_inputs(parser, "*")
    _add_output(parser, is_required=False)
    parser.add_argument("--dtype", choices=("uint16", "int32", "int64"), help="of ids (default: int32)")
    parser.add_argument(
        "--lists",
        choices=("variable", "fixed"),
        help="fixed pads every text to --max-length (default: variable where it can be; npy and safetensors are fixed)",
    )
    _add_job(parser)
    add_tokenizer(parser)
    parser.set_defaults(run=tokenize)


def add_embed(commands: Any) -> None:
    """`cliptok embed`."""
    parser = add_command(
        commands,
        "embed",
        "write the embeddings of the texts in files",
        "Write the embeddings of the texts in files, one output for each input and with its stem.",
        [
            "cliptok embed 'data/*.parquet' --column caption -o embeddings/ --model openai/clip-vit-large-patch14"
            " --normalize --resume",
            "cliptok embed captions.txt -o g.npy --model sdxl.safetensors --encoder clip_g",
            "cliptok embed prompts.txt -o conditioning/ --pipeline stabilityai/stable-diffusion-xl-base-1.0"
            " --dialect a1111 --set clip_skip=2",
        ],
    )
    add_inputs(parser, "+")
    _add_output(parser, is_required=True)
    parser.add_argument("--model", help="an encoder's folder, file or hub name")
    add_pipeline(parser)
    parser.add_argument("--subfolder", help="where the encoder is in it, such as text_encoder")
    parser.add_argument("--encoder", choices=("clip_l", "clip_g"), help="which of an SDXL or SD 3 file's encoders")
    parser.add_argument("--activation", help="where the checkpoint does not say: quick_gelu or gelu")
    parser.add_argument("--variant", help="of the checkpoint's files, such as fp16")
    parser.add_argument("--revision", help="a hub model's branch, tag or commit")
    parser.add_argument("--device", help="default: cuda if there is one, else cpu; cuda:0,cuda:1 for a process on each")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), help="default: the checkpoint's")
    parser.add_argument(
        "--output",
        choices=("text_embeds", "pooler_output", "hidden"),
        help="default: text_embeds, or pooler_output where there is no projection; hidden is every position's state",
    )
    parser.add_argument("--normalize", action="store_true", help="divide embeddings by their length")
    parser.add_argument("--batch-size", type=int, metavar="N", help="texts computed together at most")
    parser.add_argument(
        "--cache", metavar="DIR", help="a folder on a local disk where embeddings are kept, for this job and others"
    )
    parser.add_argument(
        "--cache-size", type=_byte_count, metavar="SIZE", help="of --cache, such as 500M or 2T (default: 16G)"
    )
    _add_job(parser)
    add_tokenizer(parser, "the encoder's positions")
    parser.add_argument("--tokenizer-subfolder", metavar="NAME", help="where the tokenizer is in --tokenizer")
    parser.set_defaults(run=embed)


def _add_output(parser: "Parser", is_required: bool) -> None:
    parser.add_argument(
        "-o",
        "--out",
        required=is_required,
        help="a folder, or for one input a file: .parquet, .npy, .safetensors, .arrow, .tar, .lance; or a URL",
    )
    formats = _FORMATS if not is_required else (*_FORMATS, "clip-retrieval")
    default = "parquet; arrow with --pipeline" if is_required else "parquet"
    parser.add_argument("--format", choices=formats, help=f"of the files in a folder (default: {default})")
    parser.add_argument(
        "--members", choices=("npy", "safetensors"), help="what a tar's samples have arrays in (default: npy)"
    )
    parser.add_argument(
        "--keep",
        metavar="NAMES",
        help="other columns to carry along into Parquet, Arrow or tar, with commas between; * is all",
    )
    parser.add_argument("--on-null", choices=("error", "empty", "skip"), help="texts that are missing (default: error)")


def _add_job(parser: "Parser") -> None:
    parser.add_argument("--resume", action="store_true", help="leave outputs that are finished as they are")
    parser.add_argument(
        "--check", action="store_true", help="with --resume: only those whose content has the recorded checksum"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    parser.add_argument(
        "--dry-run", action="store_true", help="list inputs and outputs and what would be made; write nothing"
    )
    parser.add_argument(
        "--part-rows",
        type=int,
        metavar="N",
        help="rows of an input that are committed together (default: 131,072 of inputs over 64 MiB; to embed, about a"
        " minute of work)",
    )
    parser.add_argument("--processes", type=int, metavar="N", help="of this machine that make the parts (default: 1)")
    parser.add_argument("--threads", type=int, metavar="N", help="default: one per CPU")
    parser.add_argument("--json-log", metavar="FILE", help="add a line of JSON to it for each part that is complete")
    parser.add_argument(
        "--ray",
        nargs="?",
        const=True,
        default=False,
        metavar="ADDRESS",
        help="run on a Ray cluster that sees the same files (default: the one Ray finds, or one here)",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on standard output")


def tokenize(options: argparse.Namespace) -> int:
    """Run the job and print its summary, or without `--out` print ids."""
    if options.out is None:
        from cliptok.cli.texts import print_ids

        for name in _FILES_ONLY:
            if not (getattr(options, name) is None or getattr(options, name) is False):
                raise BadInputError(f"--{name.replace('_', '-')} is for files; name an output with --out")
        return print_ids(options)
    need("cliptok tokenize --out", "pyarrow", *(["ray"] if options.ray else []))
    from cliptok.batch import tokenize_files

    arguments = {**_common(options), "lists": options.lists, "dtype": options.dtype or "int32"}
    return _summary(options, tokenize_files(options.inputs, tokenizer=load(options), **arguments))


def embed(options: argparse.Namespace) -> int:
    """Run the job and print its summary."""
    need("cliptok embed", "torch", "safetensors", "pyarrow", "tqdm", *(["ray"] if options.ray else []))
    from cliptok.batch import embed_files

    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    names = ("model", "subfolder", "encoder", "activation", "variant", "revision", "device", "dtype", "output")
    own = {name: getattr(options, name) for name in (*names, "normalize", "batch_size")}
    if options.cache is not None:
        from cliptok.encoder import EmbeddingCache

        bound = {} if options.cache_size is None else {"max_bytes": options.cache_size}
        own["cache"] = EmbeddingCache(options.cache, **bound)
    elif options.cache_size is not None:
        raise BadInputError("--cache-size is for a --cache")
    if options.pipeline is not None:
        own |= pipeline_arguments(options)
    elif options.model is None:
        raise BadInputError("embed needs a --model, or a --pipeline whose image model is to be conditioned")
    elif options.dialect or options.set:
        raise BadInputError("--dialect and --set are for a --pipeline")
    else:
        own["tokenizer"] = load(options)
    return _summary(options, embed_files(options.inputs, **own, **_common(options)))


def _common(options: argparse.Namespace) -> dict[str, Any]:
    if options.check and not options.resume:
        raise BadInputError("--check is for --resume; `cliptok check OUT` reads outputs back and makes none")
    if options.resume and options.overwrite:
        raise BadInputError("--resume keeps finished outputs and --overwrite replaces them: one of the two")
    for name in ("threads", "processes", "part_rows"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise BadInputError(f"--{name.replace('_', '-')} is {getattr(options, name)}; expected 1 or more")
    found = {name: getattr(options, name) for name in _COMMON}
    found["progress"] = None if sys.stderr.isatty() else "lines"
    found["on_null"] = options.on_null or "error"
    found["keep"] = () if options.keep is None else options.keep.split(",")
    if "" in found["keep"]:
        raise BadInputError(f"--keep {options.keep!r} has a name without characters; write names with commas between")
    return {**found, **reading_options(options)}


def _byte_count(text: str) -> int:
    """A number of bytes, with K, M, G or T for powers of 1024."""
    number, unit = text.upper().removesuffix("B"), 1
    if number[-1:] in tuple("KMGT"):
        number, unit = number[:-1], 1024 ** ("KMGT".index(number[-1]) + 1)
    if not number.isascii() or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes; write 500M or 16G")
    return int(number) * unit


def _summary(options: argparse.Namespace, report: "Report") -> int:
    from cliptok.batch.disk import in_units

    if options.json:
        print(report.to_json())
    elif options.dry_run:
        for output in report.outputs:
            left = f" ({output.parts:,} parts are there, {in_units(output.parts_bytes)})" if output.parts else ""
            print(f"{output.action:<9}  {output.input} -> {output.output}{left}")
    else:
        print(report, file=sys.stderr)
    return 0
