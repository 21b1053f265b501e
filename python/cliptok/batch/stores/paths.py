"""Paths of this machine and of stores alike."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from urllib.request import url2pathname

from cliptok._common.atomic_files import AtomicFile
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


def real(path: AnyPath) -> AnyPath:
    """The path without links, of a loop of links as it is, where `Path.resolve` raises RuntimeError; a URL itself."""
    return Path(os.path.realpath(path)) if isinstance(path, Path) else path


class StagedFile:
    """A temporary file of this machine that becomes an object in a store: headers are written last, objects at once."""

    def __init__(self, path: StorePath) -> None:
        self._path = path
        self._temporary = tempfile.NamedTemporaryFile()  # noqa: SIM115 (it is closed in the end)
        self.file = cast(BinaryIO, self._temporary)

    def commit(self, path: AnyPath | None = None) -> None:
        """Upload it to its path, or to another one in a store. Raises OSError."""
        target = path or self._path
        assert isinstance(target, StorePath)
        self.file.flush()
        target.upload(self._temporary.name)

    def close(self) -> None:
        """Remove the temporary file."""
        self.file.close()


class NewFile(Protocol):
    """What an `AtomicFile` and a `StagedFile` do."""

    file: BinaryIO

    def commit(self, path: Any = None) -> None:
        """Give it its path, or another one in the same file system. Raises OSError."""

    def close(self) -> None:
        """Remove it, unless it was committed. Raises nothing."""


def new_file(path: AnyPath) -> NewFile:
    """A new file, open for writing and reading, that gets its path when it is committed, whole, and else never."""
    return AtomicFile(path) if isinstance(path, Path) else StagedFile(path)


@contextmanager
def atomic(path: AnyPath) -> Iterator[BinaryIO]:
    """The file of `new_file`, committed when the block succeeds."""
    with closing(new_file(path)) as made:
        yield made.file
        made.commit()


def remove_tree(folder: AnyPath) -> None:
    """Remove a folder and all in it, if there is one. Raises OSError."""
    if isinstance(folder, StorePath):
        folder.remove_tree()
    elif folder.is_symlink():
        folder.unlink()  # What it leads to is not ours.
    elif folder.is_dir():
        shutil.rmtree(folder)


def below(folder: AnyPath, path: AnyPath) -> str:
    """A path in a folder that it is in. Raises ValueError for another one."""
    if isinstance(folder, StorePath) and isinstance(path, StorePath):
        return path.relative_to(folder).as_posix()
    if isinstance(folder, Path) and isinstance(path, Path):
        return path.relative_to(folder).as_posix()
    raise ValueError(f"{path} is not in {folder}")
