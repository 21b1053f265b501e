"""Atomic file writes: a file has its name when it is complete, or never."""

import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

# Windows refuses to replace a file that is open. Scanners and indexers open what was just written, for a moment.
_MAY_BE_REFUSED = os.name == "nt"
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.5)

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp")


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A temporary file beside `path`, renamed to it when the block succeeds and removed when it raises.

    The content is flushed to the disk before the rename, and the rename before this returns, so a power failure leaves
    the old file or the new one. Raises OSError, on Windows also where `path` is open elsewhere.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    file = temporary.open("x+b")
    try:
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()
        _replace(temporary, path)
        _flush_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # On a full disk flushing the buffer fails too.
            file.close()
        temporary.unlink(missing_ok=True)
        raise


def _replace(temporary: Path, path: Path) -> None:
    for pause in _PAUSES if _MAY_BE_REFUSED else ():
        with suppress(PermissionError):
            os.replace(temporary, path)  # noqa: PTH105 (what tests stand in for, on every Python)
            return
        time.sleep(pause)
    try:
        os.replace(temporary, path)  # noqa: PTH105 (what tests stand in for, on every Python)
    except PermissionError as error:
        if _MAY_BE_REFUSED and path.exists():
            raise PermissionError(f"cannot replace {path}: it is open in another program; close it there") from error
        raise


def _flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk where folders can be opened: not on Windows, nor on all network disks."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove the temporary files of `atomic_write` to these paths, left by processes that were killed."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(path.name)
    for folder, wanted in names.items():
        for path in folder.glob(".*.tmp"):
            found = _TEMPORARY.fullmatch(path.name)
            if found and found[1] in wanted:
                with suppress(PermissionError):  # On Windows one that is still being written stays.
                    path.unlink(missing_ok=True)
