"""The options for reading inputs, checked: each must mean something for the inputs that there are."""

from typing import Any

from cliptok._common.errors import BadInputError
from cliptok.batch.formats import INPUT_FORMATS
from cliptok.batch.reading.delimited import Dialect
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.list_columns import CAPTIONS, LISTS_IN, WITH_LISTS
from cliptok.batch.reading.null_and_utf8_policies import ON_NULL, ON_UNDECODABLE
from cliptok.batch.reading.reader import DELIMITED, Reading
from cliptok.tokenizer.calls.options import check_int, one_of


def reading_for(
    shards: list[Shard],
    column: str | int | None = None,
    on_null: str = "error",
    on_undecodable: str = "error",
    input_format: str | None = None,
    delimiter: str | None = None,
    quotes: bool = True,
    header: bool = True,
    captions: str | None = None,
    seed: int | None = None,
    guess: bool = False,
) -> Reading:
    """How to read these shards. Raises ValueError for a wrong value, and for an option that means nothing for any."""
    if input_format is not None:
        one_of("input_format", input_format, INPUT_FORMATS)
    if delimiter == "\\t":
        delimiter = "\t"
    wrong: Any = delimiter
    if wrong is not None and not isinstance(wrong, str):
        raise TypeError(f"delimiter is of type {type(wrong).__name__}; expected str")
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n'):
        raise ValueError(f"delimiter is {delimiter!r}; expected one ASCII character, as in ';' or '\\t'")
    if column is not None and not isinstance(column, (str, int)):
        raise TypeError(f"column is of type {type(column).__name__}; expected a name, or without a header a number")
    try:
        str(column).encode()
    except UnicodeEncodeError:
        raise ValueError(f"column is {column!r}, which is no text: it has half of a surrogate pair") from None
    dialect = Dialect(delimiter, quotes, header)
    kinds = {shard.kind for shard in shards}
    if dialect != Dialect() and not kinds & {*DELIMITED, ""}:
        raise BadInputError("delimiter, quotes and header are for CSV and TSV, and no input is one of these")
    if column is not None and kinds == {"txt"}:
        raise BadInputError(f"lines of text have no columns; leave column {column!r} out, or say what the inputs are")
    if captions is not None:
        one_of("captions", captions, CAPTIONS)
        if others := kinds - {*WITH_LISTS, ""}:
            raise BadInputError(f"captions is for lists in {LISTS_IN}; {others.pop()} has none")
    if seed is not None:
        check_int("seed", seed, 0)
        if captions != "random":
            raise BadInputError("seed is for captions='random'")
    return Reading(
        None if column is None else str(column),
        (),
        one_of("on_null", on_null, ON_NULL),
        one_of("on_undecodable", on_undecodable, ON_UNDECODABLE),
        dialect,
        guess,
        captions,
        seed or 0,
    )
