"""Paths of this machine and of stores alike."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.request import url2pathname

from cliptok._common.atomic_files import atomic_write
from cliptok._common.urls import Url, is_url
from cliptok.batch.stores.store_path import StorePath

AnyPath = Path | StorePath


def as_path(given: str | os.PathLike[str] | StorePath) -> AnyPath:
    """The path, or the URL if it is one; that of a file on this machine is a path."""
    if isinstance(given, StorePath):
        return given
    text = os.fspath(given)
    if not is_url(text):
        return Path(given)
    url = Url.of(text)
    return Path(url2pathname(url.path)) if url.scheme == "file" else StorePath(url)


@contextmanager
def atomic(path: AnyPath) -> Iterator[BinaryIO]:
    """A new file, open for writing and reading, that has its path when the block succeeds, whole, and else never.

    What goes to a store is a temporary file of this machine before: headers are written last.
    """
    if isinstance(path, Path):
        with atomic_write(path) as file:
            yield file
        return
    with tempfile.NamedTemporaryFile() as staged:
        yield staged  # type: ignore[misc] # It has all that a file has.
        staged.flush()
        path.upload(staged.name)


def below(folder: AnyPath, path: AnyPath) -> str:
    """A path in a folder that it is in. Raises ValueError for another one."""
    if isinstance(folder, StorePath) and isinstance(path, StorePath):
        return path.relative_to(folder).as_posix()
    if isinstance(folder, Path) and isinstance(path, Path):
        return path.relative_to(folder).as_posix()
    raise ValueError(f"{path} is not in {folder}")
