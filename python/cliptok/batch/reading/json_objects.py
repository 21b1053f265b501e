"""Blocks of JSON lines as Arrow's parser may have them, and which line is at fault where it refuses one.

Arrow (24 too) ends the process for a line of `null` where it begins to read, and for a value that is nested some
thousand times where it infers a type: both are refused before.
"""

import json
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json

from cliptok._common.errors import BadInputError
from cliptok._common.json_files import MAX_JSON_DEPTH, some

_ARROW_BLOCK = 1 << 20
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?')
_SPACE = b" \t\r"


def line_starts(block: bytes) -> "npt.NDArray[np.int64]":
    """Where the lines of a block begin."""
    starts = np.append(0, np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + 1)
    return starts[: len(starts) - block.endswith(b"\n")]


def parsed(line: bytes | str) -> Any:
    """The value of a line, but for its integers, which may have more digits than Python converts.

    Raises ValueError or RecursionError for what is no JSON.
    """
    return json.loads(line, parse_int=lambda digits: 0)


def read_objects(
    block: bytes, starts: "npt.NDArray[np.int64]", first: int, options: Any, column: str, lists: bool
) -> pa.Table:
    """The objects of a block, one for each line that is not blank. The first line has the number `first`.

    Raises BadInputError that names the line for anything else.
    """
    blank = _blank_lines(block, starts)
    table = None
    if blank is not None:
        if options.unexpected_field_behavior == "infer":
            _check_depth(block, starts, first)
        try:
            table = _parsed(block, options)
        except pa.ArrowException as error:
            raise BadInputError(_bad_line(block, first, column, lists) or _refused(block, first, options)) from error
    if table is None or len(table) != len(starts) - (blank or 0):
        trouble = _bad_line(block, first, column, lists) or f"from line {first} on, lines are not one object each"
        raise BadInputError(trouble)
    return table


def _parsed(block: bytes, options: Any) -> pa.Table:
    try:
        return pa.json.read_json(pa.py_buffer(block), pa.json.ReadOptions(block_size=_ARROW_BLOCK), options)
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error):
            raise
    # A line is longer than Arrow's blocks, which threads share.
    return pa.json.read_json(pa.py_buffer(block), pa.json.ReadOptions(block_size=len(block) + 1), options)


def _blank_lines(block: bytes, starts: "npt.NDArray[np.int64]") -> int | None:
    """How many lines are blank; None where another begins with something else than an object."""
    blank = 0
    for begin in starts[np.frombuffer(block, np.uint8)[starts] != ord("{")].tolist():
        end = block.find(b"\n", begin)
        content = block[begin : len(block) if end < 0 else end].lstrip(_SPACE)
        if content and not content.startswith(b"{"):
            return None
        blank += not content
    return blank


def _check_depth(block: bytes, starts: "npt.NDArray[np.int64]", first: int) -> None:
    """Raise BadInputError for a line that is nested too deeply for a type to be inferred."""
    if block.count(b"{") + block.count(b"[") - len(starts) < MAX_JSON_DEPTH:
        return
    data = np.frombuffer(block, np.uint8)
    openings = np.add.reduceat((data == ord("{")) | (data == ord("[")), starts, dtype=np.int64)
    for line in np.flatnonzero(openings > MAX_JSON_DEPTH).tolist():
        begin = int(starts[line])
        end = block.find(b"\n", begin)
        content = np.frombuffer(_STRING.sub(b"", block[begin : len(block) if end < 0 else end]), np.uint8)
        steps = ((content == ord("{")) | (content == ord("["))).astype(np.int64)
        steps -= (content == ord("}")) | (content == ord("]"))
        if len(steps) and int(steps.cumsum().max()) > MAX_JSON_DEPTH:
            raise BadInputError(
                f"line {first + line} is nested too deeply to keep fields of it; at most {MAX_JSON_DEPTH} brackets"
                " inside one another are read then"
            )


def _bad_line(block: bytes, first: int, column: str, lists: bool) -> str | None:
    """What is wrong with the first bad line of a block, as Python sees it."""
    for number, line in enumerate(block.split(b"\n"), first):
        if not line.strip():
            continue
        try:
            value = parsed(line.decode(errors="replace"))
        except (ValueError, RecursionError) as error:
            return f"line {number} is no JSON: {error}"
        if not isinstance(value, dict):
            return f"line {number} is no JSON object"
        text = value.get(column)
        if isinstance(text, list) and not lists:
            return (
                f"line {number}: the field {column!r} is of type list; choose which of its texts with captions= or"
                " --captions: first, all or random"
            )
        if isinstance(text, list) and (odd := [each for each in text if not isinstance(each, (str, type(None)))]):
            return f"line {number}: the field {column!r} has one of type {type(odd[0]).__name__}; expected strings"
        if text is not None and not isinstance(text, list if lists else str):
            what = "a list of strings (captions, --captions)" if lists else "a string"
            return f"line {number}: the field {column!r} is of type {type(text).__name__}; expected {what} or null"
    return None


def _refused(block: bytes, first: int, options: Any) -> str:
    """The first line with which Arrow refuses a block, and why: found by halving, since it does not say."""
    lines = block.split(b"\n")
    good, bad, reason = 0, len(lines), ""
    while bad - good > 1 or not reason:
        middle = max((good + bad) // 2, good + 1)
        try:
            _parsed(b"\n".join(lines[:middle]) + b"\n", options)
            good = middle
        except pa.ArrowException as error:
            bad, reason = middle, str(error)
    return f"line {first + bad - 1}: {re.sub(r' in row [0-9]+$', '', some(reason.splitlines(), 1))}"
