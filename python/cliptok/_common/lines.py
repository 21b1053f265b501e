"""Lines of a file in chunks of bounded size, and a progress bar for long files."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from cliptok._common.errors import BadInputError

_LINES = 1 << 14
_BYTES = 1 << 24


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """The file, or standard input for `-`. Raises BadInputError when it cannot be opened."""
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115, PTH123
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror or error}") from error
    with file:
        yield file


def chunks(file: BinaryIO, name: str, read: Callable[[int], None]) -> Iterator[tuple[int, list[str]]]:
    """(number of the first line, lines) of each chunk. Only a line feed ends a line; `read` hears of the bytes read.

    Raises BadInputError that names the line for bytes that are no UTF-8.
    """
    name = "standard input" if name == "-" else name
    number = 1
    while True:
        try:
            raw = _some_lines(file)
        except OSError as error:
            raise BadInputError(f"{name}: {error.strerror or error}") from error
        if not raw:
            return
        try:
            lines = [line.decode() for line in raw]
        except UnicodeDecodeError:
            raise BadInputError(_first_undecodable(raw, number, name)) from None
        yield number, [line.removesuffix("\n") for line in lines]
        read(sum(map(len, raw)))
        number += len(raw)


def _some_lines(file: BinaryIO) -> list[bytes]:
    lines: list[bytes] = []
    size = 0
    while len(lines) < _LINES and size < _BYTES:
        line = file.readline()
        if not line:
            break
        lines.append(line)
        size += len(line)
    return lines


def _first_undecodable(raw: list[bytes], number: int, name: str) -> str:
    for offset, line in enumerate(raw):
        try:
            line.decode()
        except UnicodeDecodeError as error:  # noqa: PERF203
            return f"{name}: line {number + offset} is not UTF-8: byte {error.start + 1} is 0x{line[error.start]:02x}"
    raise AssertionError("every line decodes")


@contextmanager
def progress(file: BinaryIO) -> Iterator[Callable[[int], None]]:
    """A function to call with the bytes read. It draws a bar when standard error is a terminal and tqdm is there."""
    bar = None
    if sys.stderr.isatty():
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            bar = tqdm(total=_size(file), unit="B", unit_scale=True, delay=1, leave=False)
    try:
        yield bar.update if bar is not None else lambda size: None
    finally:
        if bar is not None:
            bar.close()


def _size(file: BinaryIO) -> int | None:
    try:
        return os.fstat(file.fileno()).st_size or None
    except OSError:
        return None
