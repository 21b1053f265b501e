"""`cliptok report`: an HTML page about the texts of files, or about two sets of files or two tokenizers, compared."""

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
from cliptok.batch.stores.paths import AnyPath, real
from cliptok.batch.summary import Counts
from cliptok.report.comparison import comparison_page
from cliptok.report.differences import Differences
from cliptok.report.page import page
from cliptok.report.survey import Survey
from cliptok.tokenizer.tokenizer import Tokenizer


def write_report(
    inputs: Paths | Iterable[Paths],
    output: Path,
    tokenizer: Tokenizer | None = None,
    max_length: int | None = None,
    **reading: Any,
) -> Survey:
    """Survey the texts of files, `-` for standard input, and write the page.

    Memory does not grow with the files. `inputs` and the options for reading them are those of `batch.tokenize_files`;
    `column` may be left out where only one has strings, and nulls are counted and left out. `tokenizer` is whose tokens
    are counted, by default the profile `transformers`, and `max_length` is by default its own. On a terminal, a bar
    counts the texts.

    Raises BadInputError that names the file, with the row or the columns.
    """
    shards = shards_of(inputs, reading.get("input_format"))
    _check_output(output, shards)
    survey = Survey(tokenizer, max_length)
    _read(shards, reading, survey)
    _write(output, page(survey, _title(shards)))
    return survey


def compare_files(
    inputs: Paths | Iterable[Paths],
    against: Paths | Iterable[Paths],
    output: Path,
    tokenizer: Tokenizer | None = None,
    max_length: int | None = None,
    **reading: Any,
) -> tuple[Survey, Survey]:
    """The same of two sets of files, side by side on one page."""
    sides = [shards_of(files, reading.get("input_format")) for files in (inputs, against)]
    if all(any(str(shard.source) == STDIN for shard in shards) for shards in sides):
        raise BadInputError("standard input cannot be read twice, to be compared with itself")
    _check_output(output, [*sides[0], *sides[1]])
    pair = Survey(tokenizer, max_length, profiles=False), Survey(tokenizer, max_length, profiles=False)
    for survey, shards in zip(pair, sides, strict=True):
        _read(shards, reading, survey)
    names = _title(sides[0]), _title(sides[1])
    if names[0] == names[1]:  # In two folders.
        names = _title(sides[0], whole=True), _title(sides[1], whole=True)
    _write(output, comparison_page(pair, names, f"{names[0]} and {names[1]}", None))
    return pair


def compare_tokenizers(
    inputs: Paths | Iterable[Paths],
    output: Path,
    tokenizers: tuple[Tokenizer, Tokenizer],
    names: tuple[str, str],
    max_length: int | None = None,
    **reading: Any,
) -> tuple[Survey, Survey]:
    """The same of two tokenizers on the same texts, side by side on one page, and where they differ."""
    shards = shards_of(inputs, reading.get("input_format"))
    _check_output(output, shards)
    first, second = (Survey(tok, max_length, profiles=False) for tok in tokenizers)
    differences = Differences(*tokenizers)
    _read(shards, reading, first, second, differences)
    _write(output, comparison_page((first, second), names, _title(shards), differences))
    return first, second


def _read(
    shards: list[Shard],
    options: dict[str, Any],
    survey: Survey,
    other: Survey | None = None,
    differences: Differences | None = None,
) -> None:
    """Give all texts to a survey, or to two and what compares them."""
    reading = reading_for(shards, on_null="skip", guess=True, **options)
    counts = Counts()
    folder = os.path.commonpath([_place(shard.source).parent for shard in shards])
    with _progress() as read:
        for source, texts, _ in texts_of(shards, reading, counts):
            is_file = str(source) != STDIN
            name = _readable(str(_place(source).relative_to(folder))) if is_file else "standard input"
            packed = survey.add(texts, name)
            if other is not None and differences is not None:
                others = other.add(texts, name)
                if packed is not None and others is not None:
                    column = texts
                    differences.add(packed, others, lambda row: str(column[row]))  # noqa: B023 (called at once)
            read(len(texts))
    for each in (survey, other):
        if each is not None:
            each.nulls, each.undecodable = counts.null, counts.undecodable


def _check_output(output: Path, shards: list[Shard]) -> None:
    """Raise BadInputError where the page cannot be written, or would replace what is no page."""
    if output.is_dir() or output.suffix.lower() not in (".html", ".htm"):
        raise BadInputError(f"{output}: the name of a page ends in .html")
    if not output.absolute().parent.is_dir():
        raise BadInputError(f"{output}: there is no folder {output.parent}")
    if real(output) in {real(shard.source) for shard in shards}:
        raise BadInputError(f"{output} is an input too; name another page")


def _write(output: Path, html: str) -> None:
    try:
        with atomic_write(output) as written:
            written.write(html.encode())
    except OSError as error:
        raise BadInputError(f"{output}: {error.strerror or error}") from error


def _title(shards: list[Shard], whole: bool = False) -> str:
    """The name of the file, or of several, with their folders if `whole`."""
    first = shards[0].source
    name = "standard input" if str(first) == STDIN else str(first) if whole else first.name
    more = len(shards) - 1
    return _readable(f"{name} and {more:,} more file{'s' if more > 1 else ''}" if more else name)


def _readable(name: str) -> str:
    """A name of a file with bytes that are not UTF-8 as U+FFFD."""
    return os.fsencode(name).decode(errors="replace")


@contextmanager
def _progress() -> Iterator[Any]:
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda texts: None
    else:
        with tqdm(unit=" texts", unit_scale=True, delay=1, leave=False, disable=not sys.stderr.isatty()) as bar:
            yield bar.update


def _place(source: AnyPath) -> Path:
    """Where an input is among the others: those of stores below folders named as these."""
    return source.absolute() if isinstance(source, Path) else Path("/", str(source))
