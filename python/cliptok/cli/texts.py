"""`cliptok tokenize` to the screen and `cliptok count`: texts of any number, a chunk at a time."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cliptok.cli.inputs import add_inputs, reading_options
from cliptok.cli.parser import add_command
from cliptok.cli.tokenizers import add_tokenizer, load, row_length

if TYPE_CHECKING:
    from cliptok.batch.summary import Counts


def add_count(commands: Any) -> None:
    """`cliptok count`."""
    parser = add_command(
        commands,
        "count",
        "count the tokens of files",
        "Count texts, tokens (start and end included) and the texts that would be truncated. Nulls are left out.",
        ["cliptok count captions.txt", "cliptok count 'data/*.parquet' --column caption"],
    )
    add_inputs(parser, "*")
    parser.add_argument("--each", action="store_true", help="print the tokens of each text instead")
    add_tokenizer(parser)
    parser.set_defaults(run=count)


def print_ids(options: argparse.Namespace) -> int:
    """Print the ids of each text, a line for each."""
    tok = load(options)
    with chunks(options, options.on_null or "error") as (found, _):
        for texts in found:
            ids, offsets = tok.encode_packed(texts, row_length(options, tok), truncate=True)
            everything, rows = ids.tolist(), pairwise(offsets.tolist())
            sys.stdout.write("".join(" ".join(map(str, everything[begin:end])) + "\n" for begin, end in rows))
    sys.stdout.flush()
    return 0


def count(options: argparse.Namespace) -> int:
    """Print how many texts and tokens there are, or with `--each` the tokens of each text."""
    tok = load(options)
    max_length = row_length(options, tok)
    seen = tokens = longest = too_long = 0
    with chunks(options, "skip") as (found, counts):
        for texts in found:
            lengths = tok.count(texts)
            if options.each:
                sys.stdout.write("".join(f"{length}\n" for length in lengths.tolist()))
            seen += len(lengths)
            tokens += int(lengths.sum())
            longest = max(longest, int(lengths.max(initial=0)))
            too_long += int((lengths > max_length).sum())
    if not options.each:
        mean = tokens / seen if seen else 0
        print(f"texts        {seen}")
        print(f"tokens       {tokens}")
        print(f"mean         {mean:.1f}")
        print(f"longest      {longest}")
        print(f"over {max_length:<8}{too_long}")
        if counts is not None and counts.null:
            print(f"null         {counts.null}")
    sys.stdout.flush()
    return 0


@contextmanager
def chunks(options: argparse.Namespace, on_null: str) -> Iterator[tuple[Iterator[Any], "Counts | None"]]:
    """The texts of all inputs in Arrow columns, and counts of what was met. A terminal sees a bar.

    Without pyarrow lines of text are lists, and there are no counts.
    """
    if find_spec("pyarrow") is None:
        from cliptok.cli.plain_lines import lines_of

        yield lines_of(options), None
        return
    from cliptok.batch.reading.options import reading_for
    from cliptok.batch.reading.texts import shards_of, texts_of
    from cliptok.batch.summary import Counts

    shards = shards_of(options.inputs, options.input_format)
    reading = reading_for(shards, on_null=on_null, guess=True, **reading_options(options))
    counts = Counts()
    with _bar(sum(shard.size for shard in shards)) as move:

        def found() -> Iterator[Any]:
            done, last, at = 0, None, 0
            for source, texts, position in texts_of(shards, reading, counts):
                done, last, at = (done + at if source != last else done), source, position
                move(done + position)
                yield texts

        yield found(), counts


@contextmanager
def _bar(total: int) -> Iterator[Any]:
    if not sys.stderr.isatty():
        yield lambda position: None
        return
    from tqdm import tqdm

    with tqdm(total=total or None, unit="B", unit_scale=True, delay=1, leave=False) as bar:
        yield lambda position: bar.update(position - bar.n)
