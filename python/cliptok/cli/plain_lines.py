"""Lines of plain text where pyarrow is not installed, so that `tokenize` and `count` need no extra for these."""

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from cliptok._common.errors import BadInputError
from cliptok._common.extras import need
from cliptok._common.signatures import check_is_text, format_of_stream
from cliptok._common.urls import is_url
from cliptok.cli.inputs import reading_values

_LINES = 1 << 14
_FIRST = 1 << 12
_BYTE_ORDER_MARK = "\ufeff".encode()


def lines_of(options: argparse.Namespace) -> Iterator[list[str]]:
    """The lines of all inputs in chunks. Raises ImportError for inputs or options that need pyarrow."""
    plain = all(name == "-" or (Path(name).suffix == ".txt" and not is_url(name)) for name in options.inputs)
    given = {name for name, value, default in reading_values(options) if value != default}
    if not plain or options.input_format not in (None, "txt") or given & {"column", "on_undecodable"}:
        need("reading other files than lines of UTF-8", "pyarrow")
    if meaningless := given & {"delimiter", "quotes", "header", "captions", "seed"}:
        raise BadInputError(
            f"{', '.join(sorted(meaningless))}: for CSV, JSON lines or Parquet, and the inputs are lines"
        )
    return plain_lines(options.inputs, guess=options.input_format is None)


def plain_lines(names: Sequence[str], guess: bool = False) -> Iterator[list[str]]:
    """The lines of files of text, `-` for standard input, in chunks. Only a line feed ends a line.

    With `guess` a stream of JSON objects is refused. Raises BadInputError that names the file and the line.
    """
    for name in names:
        said = "standard input" if name == "-" else name
        try:
            with open(0 if name == "-" else name, "rb", closefd=name != "-") as file:
                number = 0
                first = file.peek(_FIRST)[:_FIRST]
                check_is_text(first)
                if name == "-" and guess:
                    format_of_stream(first, None)
                while lines := list(islice(file, _LINES)):
                    if number == 0:
                        lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
                    yield [_decoded(line, f"line {at}") for at, line in enumerate(lines, number + 1)]
                    number += len(lines)
        except BadInputError as error:
            raise BadInputError(f"{said}: {error}") from error
        except OSError as error:
            raise BadInputError(f"{said}: {error.strerror or error}") from error


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{where} is not UTF-8: byte {error.start + 1} is 0x{line[error.start]:02x}") from None
