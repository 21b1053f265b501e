"""JSON files that may be anything: every trouble becomes a ValueError that names the file."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any


class Trouble:
    """A context in which whatever the content of `path` leads to becomes a ValueError that names it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (ValueError, TypeError, OverflowError)) and not str(error).startswith(str(self._path)):
            raise ValueError(f"{self._path}: {error}") from error


def read_text(path: Path) -> str:
    """The file's text. Raises ValueError that names it when it is not UTF-8."""
    with Trouble(path):
        return path.read_text(encoding="utf-8")


def read_json(path: Path, kind: type) -> Any:
    """The file's value, of type `kind`. Raises ValueError that names the file when it is no JSON or another type."""
    with Trouble(path):
        try:
            value = json.loads(read_text(path))
        except RecursionError:
            raise ValueError("is nested too deeply") from None
        return wanted(value, kind, "the file")


def wanted(value: Any, kind: type | tuple[type, ...], what: str) -> Any:
    """`value` if it is of type `kind` (a bool is no int), else a ValueError that names `what`."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)):
        return value
    found = "null" if value is None else f"of type {type(value).__name__}"
    raise ValueError(f"{what} is {found}; expected {' or '.join(k.__name__ for k in kinds if k is not type(None))}")
