"""Places in inputs where reading can begin, and the parts that the rows of an input fall into."""

from typing import NamedTuple

import pyarrow as pa


class Place(NamedTuple):
    """Where a reader can begin: from there it gives the rows of the input from `row` on."""

    row: int = 0
    """Rows of the input before it, as the file has them: before nulls are skipped and lists of captions unfolded."""
    offset: int = 0
    """Bytes of the file before it, where that is where a reader goes. Compressed files and CSV are read from 0."""
    line: int = 1
    """Its line, for errors, where lines are not rows."""


BEGIN = Place()


class Raw(NamedTuple):
    """Rows as they are in the file, the texts' column first."""

    table: pa.Table
    position: int
    """Bytes of the file read so far."""
    place: Place
    """Of the first of these rows, or of one somewhat before."""


class Run(NamedTuple):
    """Parts that follow one another: number `first` to `stop`, or to the end of the input."""

    first: int = 0
    stop: int | None = None
    place: Place = BEGIN
    """Where to read from: where `first` begins, or before."""
