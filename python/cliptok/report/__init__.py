"""`cliptok report`: one HTML page about the texts of a file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cliptok._common.atomic_files import atomic_write
from cliptok._common.errors import BadInputError
from cliptok.batch.reading.inputs import STDIN
from cliptok.batch.summary import Counts
from cliptok.report.page import page
from cliptok.report.reading import texts_of
from cliptok.report.survey import Survey
from cliptok.tokenizer.tokenizer import Tokenizer


def write_report(
    file: str,
    output: Path,
    column: str | None = None,
    tokenizer: Tokenizer | None = None,
    max_length: int | None = None,
    on_undecodable: str = "error",
) -> Survey:
    """Survey the texts of a file, `-` for standard input, and write the page.

    Memory does not grow with the file. `column` names the column of a table, see `reading.texts_of`. `tokenizer` is
    whose tokens are counted, by default the profile `transformers`; `max_length` is by default its own.
    `on_undecodable` says what becomes of texts that are no UTF-8: `error`, `replace` or `skip`. On a terminal, a bar
    counts the texts.

    Raises BadInputError that names the file, with the row or the columns.
    """
    survey, counts = Survey(tokenizer, max_length), Counts()
    with _progress() as read:
        for chunk in texts_of(file, column, on_undecodable, counts):
            survey.add(chunk)
            read(len(chunk))
    survey.nulls, survey.undecodable = counts.null, counts.undecodable
    try:
        with atomic_write(output) as written:
            written.write(page(survey, "standard input" if file == STDIN else Path(file).name).encode())
    except OSError as error:
        raise BadInputError(f"{output}: {error.strerror or error}") from error
    return survey


@contextmanager
def _progress() -> Iterator[Any]:
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda texts: None
    else:
        with tqdm(unit=" texts", unit_scale=True, delay=1, leave=False, disable=not sys.stderr.isatty()) as bar:
            yield bar.update
