"""Text and JSON that may be anything: every trouble becomes a ValueError of one line that names the file."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

from cliptok._common.errors import printable
from cliptok._common.regular_files import open_regular

MAX_TEXT_BYTES = 256 << 20
"""The largest text or JSON file that is read. Vocabularies of a million tokens take 60 MB."""
MAX_JSON_DEPTH = 100
"""The deepest nesting of arrays and objects in JSON. Files of tokenizers and models have up to 6."""

_STRING_OR_REST = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[^"\[\]{}]+', re.DOTALL)
_STEP = {"[": 1, "{": 1, "]": -1, "}": -1}


class Trouble:
    """A context in which whatever the content of `path` leads to becomes a ValueError that names it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, (ValueError, TypeError, OverflowError)):
            return
        text = str(error)
        message = printable(text if text.startswith(str(self._path)) else f"{self._path}: {text}")
        if type(error) is not ValueError or text != message:
            raise ValueError(message) from error


def one_line(error: BaseException) -> str:
    """The first line of an error's message, as it can be printed, or the name of its type where it has none."""
    return printable(next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__))


def read_text(path: Path) -> str:
    """The file's text. Raises ValueError that names it when it is not UTF-8 or too large."""
    with Trouble(path), open_regular(path) as file:
        content = file.read(min(MAX_TEXT_BYTES, path.stat().st_size) + 1)
        if len(content) > MAX_TEXT_BYTES:
            raise ValueError(f"is larger than {MAX_TEXT_BYTES:,} bytes, the most that is read")
        return content.decode().replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, kind: type = dict) -> Any:
    """The file's value, of type `kind`. Raises ValueError that names the file when it is no JSON or another type."""
    with Trouble(path):
        return wanted(parse_json(read_text(path)), kind, "the file")


def parse_json(text: str, repeats: bool = True) -> Any:
    """The value of a JSON text. Raises ValueError for anything that is none, or is nested too deeply.

    Of a key that an object has twice the last counts, as for every library that reads such files; without `repeats` it
    is an error.
    """
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH:
        depths = accumulate(map(_STEP.__getitem__, _STRING_OR_REST.sub("", text)))
        if max(depths, default=0) > MAX_JSON_DEPTH:
            raise ValueError(f"is nested too deeply; at most {MAX_JSON_DEPTH} brackets inside one another are read")
    return json.loads(text, object_pairs_hook=None if repeats else _distinct)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"it has {twice!r} twice")
    return found


def wanted(value: Any, kind: type | tuple[type, ...], what: str) -> Any:
    """`value` if it is of type `kind` (a bool is no int), else a ValueError that names `what`."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)):
        return value
    found = "null" if value is None else f"of type {type(value).__name__}"
    raise ValueError(f"{what} is {found}; expected {' or '.join(k.__name__ for k in kinds if k is not type(None))}")


def some(names: Iterable[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
