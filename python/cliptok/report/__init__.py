"""`cliptok report`: one HTML page about the texts of a file."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cliptok._common.atomic_files import atomic_write
from cliptok._common.errors import BadInputError
from cliptok.batch.reading.inputs import STDIN, Paths, Shard
from cliptok.batch.reading.options import reading_for
from cliptok.batch.reading.texts import shards_of, texts_of
from cliptok.batch.summary import Counts
from cliptok.report.page import page
from cliptok.report.survey import Survey
from cliptok.tokenizer.tokenizer import Tokenizer


def write_report(
    inputs: Paths | Iterable[Paths],
    output: Path,
    tokenizer: Tokenizer | None = None,
    max_length: int | None = None,
    *,
    column: str | None = None,
    on_undecodable: str = "error",
    input_format: str | None = None,
    delimiter: str | None = None,
    quotes: bool = True,
    header: bool = True,
    captions: str | None = None,
    seed: int | None = None,
) -> Survey:
    """Survey the texts of files, `-` for standard input, and write the page.

    Memory does not grow with the files. `inputs` and the options for reading them are those of `batch.tokenize_files`;
    `column` may be left out where only one has strings, and nulls are counted and left out. `tokenizer` is whose tokens
    are counted, by default the profile `transformers`, and `max_length` is by default its own. On a terminal, a bar
    counts the texts.

    Raises BadInputError that names the file, with the row or the columns.
    """
    shards = shards_of(inputs, input_format)
    reading = reading_for(
        shards, column, "skip", on_undecodable, input_format, delimiter, quotes, header, captions, seed, guess=True
    )
    survey, counts = Survey(tokenizer, max_length), Counts()
    with _progress() as read:
        for _, texts, _ in texts_of(shards, reading, counts):
            survey.add(texts)
            read(len(texts))
    survey.nulls, survey.undecodable = counts.null, counts.undecodable
    try:
        with atomic_write(output) as written:
            written.write(page(survey, _title(shards)).encode())
    except OSError as error:
        raise BadInputError(f"{output}: {error.strerror or error}") from error
    return survey


def _title(shards: list[Shard]) -> str:
    """The name of the file, or of several; bytes that are not UTF-8 as U+FFFD."""
    names = ["standard input" if str(shard.source) == STDIN else shard.source.name for shard in shards]
    title = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more files"
    return os.fsencode(title).decode(errors="replace")


@contextmanager
def _progress() -> Iterator[Any]:
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda texts: None
    else:
        with tqdm(unit=" texts", unit_scale=True, delay=1, leave=False, disable=not sys.stderr.isatty()) as bar:
            yield bar.update
