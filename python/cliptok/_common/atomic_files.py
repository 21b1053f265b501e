"""Atomic file writes: a file has its name when it is complete, or never."""

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp")


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A temporary file beside `path`, renamed to it when the block succeeds and removed when it raises.

    The content is flushed to the disk before the rename, so a power failure cannot leave half of it.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    file = temporary.open("x+b")
    try:
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # On a full disk flushing the buffer fails too.
            file.close()
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove the temporary files of `atomic_write` to these paths, left by processes that were killed."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(path.name)
    for folder, wanted in names.items():
        for path in folder.glob(".*.tmp"):
            found = _TEMPORARY.fullmatch(path.name)
            if found and found[1] in wanted:
                path.unlink(missing_ok=True)
