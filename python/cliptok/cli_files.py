"""`cliptok tokenize` and `cliptok count`: files of any size, a chunk at a time."""

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from cliptok.atomic import replacing
from cliptok.cli import load
from cliptok.lines import BadInputError, chunks, opened, progress


def tokenize(options: argparse.Namespace) -> int:
    """Write or print the ids of each line."""
    tok = load(options)
    with opened(options.file) as file, progress(file) as read:
        batches = chunks(file, options.file, read)
        if options.output is None:
            for _, lines in batches:
                ids, offsets = tok.encode_packed(lines, options.max_length, truncate=True)
                everything, bounds = ids.tolist(), offsets.tolist()
                rows = pairwise(bounds)
                sys.stdout.write("".join(" ".join(map(str, everything[begin:end])) + "\n" for begin, end in rows))
            sys.stdout.flush()
            return 0
        arrays = (tok.encode_batch(lines, options.max_length, options.dtype, truncate=True) for _, lines in batches)
        rows_written = _write(options.output, arrays, options.max_length, options.dtype)
    print(f"{rows_written} texts x {options.max_length} ids, {options.dtype}, in {options.output}", file=sys.stderr)
    return 0


def _write(path: Path, arrays: "Iterator[npt.NDArray[Any]]", width: int, dtype: str) -> int:
    """Write the arrays as one, whose number of rows stands in the header only when all are there."""
    try:
        with replacing(path) as file:
            _header(file, 0, width, dtype)
            begin, rows = file.tell(), 0
            for array in arrays:
                file.write(array.data)
                rows += len(array)
            file.seek(0)
            _header(file, rows, width, dtype)
            if file.tell() != begin:
                raise BadInputError(f"{path}: {rows} rows are too many for one file")
            return rows
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror or error}") from error


def _header(file: BinaryIO, rows: int, width: int, dtype: str) -> None:
    # Without NumPy's own room to grow, both headers still have the same length: it is a multiple of 64.
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": (rows, width)})


def count(options: argparse.Namespace) -> int:
    """Print how many lines and tokens there are, or with `--each` the tokens of each line."""
    tok = load(options)
    lines_seen = tokens = longest = too_long = 0
    with opened(options.file) as file, progress(file) as read:
        for _, lines in chunks(file, options.file, read):
            counts = tok.count(lines)
            if options.each:
                sys.stdout.write("".join(f"{count}\n" for count in counts.tolist()))
            lines_seen += len(lines)
            tokens += int(counts.sum())
            longest = max(longest, int(counts.max()))
            too_long += int((counts > options.max_length).sum())
    if not options.each:
        mean = tokens / lines_seen if lines_seen else 0
        print(f"lines        {lines_seen}")
        print(f"tokens       {tokens}")
        print(f"mean         {mean:.1f}")
        print(f"longest      {longest}")
        print(f"over {options.max_length:<8}{too_long}")
    sys.stdout.flush()
    return 0
