"""Atomic file writes: a file has its name when it is complete, or never."""

import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

# Windows refuses to replace a file that is open. Scanners and indexers open what was just written, for a moment.
_MAY_BE_REFUSED = os.name == "nt"
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.5)

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp")


class AtomicFile:
    """A temporary file beside `path`, open for writing and reading, that gets its name when it is complete.

    Raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        self.file: BinaryIO = self._temporary.open("x+b")

    def commit(self, path: Path | None = None) -> None:
        """Rename it to its path, or to another one in the same file system.

        The content is flushed to the disk before the rename, and the rename before this returns, so a power failure
        leaves the old file or the new one. Raises OSError, on Windows also where `path` is open elsewhere.
        """
        path = path or self._path
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        _replace(self._temporary, path)
        _flush_folder(path.parent)

    def close(self) -> None:
        """Remove it, unless it was committed."""
        with suppress(OSError):  # On a full disk flushing the buffer fails too.
            self.file.close()
        self._temporary.unlink(missing_ok=True)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """The file of an `AtomicFile`, committed when the block succeeds."""
    with closing(AtomicFile(path)) as made:
        yield made.file
        made.commit()


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


def leftovers(folder: Path) -> Iterator[tuple[Path, str]]:
    """(temporary file, the name it was to get) of the files that processes that were killed left in a folder."""
    for path in folder.glob(".*.tmp"):
        found = _TEMPORARY.fullmatch(path.name)
        if found:
            yield path, found[1]


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove the temporary files of `AtomicFile` for these paths, left by processes that were killed."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(path.name)
    for folder, wanted in names.items():
        for path, name in leftovers(folder):
            if name in wanted:
                with suppress(PermissionError):  # On Windows one that is still being written stays.
                    path.unlink(missing_ok=True)
