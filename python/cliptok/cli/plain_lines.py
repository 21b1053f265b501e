"""Lines of plain text where pyarrow is not installed, so that `tokenize` and `count` need no extra for these."""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from cliptok._common.errors import BadInputError
from cliptok._common.extras import need

_LINES = 1 << 14
_BYTE_ORDER_MARK = "\ufeff".encode()


def plain_lines(options: argparse.Namespace) -> Iterator[list[str]]:
    """The lines of all inputs in chunks. Raises ImportError for inputs or options that need pyarrow."""
    plain = all(name == "-" or Path(name).suffix == ".txt" for name in options.inputs)
    if not plain or options.column or options.input_format not in (None, "txt") or options.on_undecodable != "error":
        need("reading other files than lines of UTF-8", "pyarrow")
    for name in options.inputs:
        said = "standard input" if name == "-" else name
        try:
            with open(0 if name == "-" else name, "rb", closefd=name != "-") as file:
                number = 0
                while lines := list(islice(file, _LINES)):
                    if number == 0:
                        lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
                    yield [_decoded(line, f"{said}: line {at}") for at, line in enumerate(lines, number + 1)]
                    number += len(lines)
        except OSError as error:
            raise BadInputError(f"{said}: {error.strerror or error}") from error


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{where} is not UTF-8: byte {error.start + 1} is 0x{line[error.start]:02x}") from None
