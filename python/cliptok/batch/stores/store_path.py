"""A file in an object store or on the web, with the methods of `pathlib.Path` that jobs use."""

from __future__ import annotations

import errno
import re
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as pa

from cliptok._common.urls import Url
from cliptok.batch.stores.errors import told, trying
from cliptok.batch.stores.filesystems import SMALL, WEB, Location, locate
from cliptok.batch.stores.reading_ahead import BlockFile

_UPLOADED = 1 << 26
"""Bytes that wait in memory while they are uploaded, in parts of some MiB."""
_TAGS = ("ETag", "etag", "blob_id", "generation", "version_id")
"""What the libraries call the version of an object's content."""


class StoreStatus(NamedTuple):
    """What a store says of an object."""

    st_size: int
    st_mtime_ns: int
    tag: str | None
    """Its ETag or version: another one for another content. None where the store has none."""


class StorePath:
    """A URL. Two are equal if they are the same text; `str` is for people and leaves out what may be a secret."""

    def __init__(self, url: str | Url) -> None:
        self.url = Url.of(url) if isinstance(url, str) else url
        self._path = PurePosixPath(self.url.path or "/")
        self._status: StoreStatus | None = None

    name = property(lambda self: self._path.name)
    stem = property(lambda self: self._path.stem)
    suffix = property(lambda self: self._path.suffix)

    @property
    def parent(self) -> StorePath:
        """The folder that it is in."""
        return self._at(self._path.parent)

    @property
    def parents(self) -> list[StorePath]:
        """All folders that it is in."""
        return [self._at(path) for path in self._path.parents]

    def with_name(self, name: str) -> StorePath:
        """Another file in the same folder."""
        return self._at(self._path.with_name(name))

    def __truediv__(self, other: str | PurePosixPath) -> StorePath:
        return self._at(self._path / other)

    def relative_to(self, folder: StorePath) -> PurePosixPath:
        """Its path in a folder that it is in. Raises ValueError for another one."""
        if self._root() != folder._root():
            raise ValueError(f"{self} is not in {folder}")
        return self._path.relative_to(folder._path)

    def is_relative_to(self, folder: object) -> bool:
        """Whether it is in a folder."""
        return (
            isinstance(folder, StorePath)
            and self._root() == folder._root()
            and folder._path
            in (
                self._path,
                *self._path.parents,
            )
        )

    def as_posix(self) -> str:
        """As `str`."""
        return str(self)

    def stat(self) -> StoreStatus:
        """What the store says now. Raises OSError."""
        with told(self.url):
            place = locate(self.url)
            if place.fsspec is not None:
                info = trying(lambda: place.fsspec.info(place.path))
                if info["type"] == "directory":
                    raise IsADirectoryError(errno.EISDIR, "Is a directory")
                tag = next((str(info[name]) for name in _TAGS if info.get(name)), None)
                mtime = 0 if tag else place.filesystem.get_file_info(place.path).mtime_ns or 0
                self._status = StoreStatus(int(info["size"] or 0), mtime, tag)
            else:
                with place.filesystem.open_input_file(place.path) as file:
                    said = file.metadata() or {}
                    tag = next((said[name].decode() for name in _TAGS if said.get(name)), None)
                    mtime = 0 if tag else place.filesystem.get_file_info(place.path).mtime_ns or 0
                    self._status = StoreStatus(file.size(), mtime, tag)
        return self._status

    def exists(self) -> bool:
        """Whether there is an object, or a folder with some. Raises OSError where the store does not say."""
        return self._kind() is not None

    def is_file(self) -> bool:
        """Whether there is an object. Of one that there was, nothing is asked again."""
        if self._status is None:
            with suppress(FileNotFoundError, IsADirectoryError):
                self.stat()
        return self._status is not None

    def is_dir(self) -> bool:
        """Whether there are objects below it."""
        return self._status is None and self.url.scheme not in WEB and self._kind() == "folder"

    def _kind(self) -> str | None:
        from pyarrow.fs import FileType

        with told(self.url):
            place = locate(self.url)
            if self.url.scheme in WEB:
                return "file" if trying(lambda: place.fsspec.exists(place.path)) else None
            found = place.filesystem.get_file_info(place.path).type
        return {FileType.File: "file", FileType.Directory: "folder"}.get(found)

    def open(self, mode: str = "rb") -> BinaryIO:
        """The object, to be read. Raises OSError."""
        assert mode == "rb"
        with told(self.url):
            place = locate(self.url)
            if place.fsspec is not None:
                return cast(BinaryIO, self._opened_by_fsspec(place))
            file = place.filesystem.open_input_file(place.path)
            size = file.size()

        def fetch(begin: int, end: int) -> bytes:
            with told(self.url):
                found: bytes = file.read_at(end - begin, begin)
            return found

        return cast(BinaryIO, BlockFile(size, fetch, file.close))

    def _opened_by_fsspec(self, place: Location) -> Any:
        info = trying(lambda: place.fsspec.info(place.path))
        if self.url.scheme in WEB and not (info.get("partial") and info.get("size")):
            # A server that gives files only as a whole.
            whole = tempfile.NamedTemporaryFile()  # noqa: SIM115 (whoever reads it closes it)
            trying(lambda: place.fsspec.get_file(place.path, whole.name))
            return whole

        def fetch(begin: int, end: int) -> bytes:
            with told(self.url):
                found: bytes = trying(lambda: place.fsspec.cat_file(place.path, begin, end))
            return found

        return BlockFile(int(info["size"]), fetch)

    def read_text(self, encoding: str, errors: str) -> str:
        """All of it as text. Raises OSError."""
        with self.open() as file:
            return file.read().decode(encoding, errors)

    def rglob(self, pattern: str) -> Iterator[StorePath]:
        """The objects below it whose names match, in the order of their names."""
        from pyarrow.fs import FileSelector, FileType

        with told(self.url):
            place = locate(self.url)
            selector = FileSelector(place.path, recursive=True, allow_not_found=True)
            found = [one.path for one in place.filesystem.get_file_info(selector) if one.type == FileType.File]
        start = len(place.path.rstrip("/")) + 1
        for path in sorted(found):
            if fnmatchcase(path.rpartition("/")[2], pattern):
                yield self / path[start:]

    def glob(self, pattern: str) -> Iterator[StorePath]:
        """The objects in this folder alone whose names match."""
        yield from (path for path in self.rglob(pattern) if path.parent == self)

    def matches(self) -> list[StorePath]:
        """The objects that a URL with wildcards means."""
        return [path for path in self.root().rglob("*") if _matches(path._path.parts, self._path.parts)]

    def root(self) -> StorePath:
        """What stands before the first wildcard."""
        parts = self._path.parts
        magic = next((number for number, part in enumerate(parts) if re.search(r"[*?[]", part)), len(parts))
        return self._at(PurePosixPath(*parts[:magic]))

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: stores have no folders, only names with slashes."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object. Raises OSError."""
        with told(self.url):
            place = locate(self.url)
            if missing_ok:
                with suppress(FileNotFoundError):
                    place.filesystem.delete_file(place.path)
            else:
                place.filesystem.delete_file(place.path)

    def remove_tree(self) -> None:
        """Remove all objects below it, if there are any. Raises OSError."""
        with told(self.url):
            if next(self.rglob("*"), None) is None:
                return
            with suppress(OSError):
                # Once: servers that keep files in folders may fail to look for one, always.
                place = locate(self.url, is_tried_again=False)
                place.filesystem.delete_dir(place.path)
            # Google's store has removed all and then misses the folder itself, which is no object.
            for path in self.rglob("*"):
                path.unlink(missing_ok=True)

    def upload(self, name: str) -> None:
        """Make the object of a file of this machine. It appears whole, or not at all. Raises OSError."""
        # In a thread of its own, where Ctrl-C interrupts nothing between two requests.
        with ThreadPoolExecutor(1, thread_name_prefix="cliptok-upload") as pool:
            pool.submit(self._upload, name).result()

    def _upload(self, name: str) -> None:
        with told(self.url):
            place = locate(self.url, is_small=Path(name).stat().st_size < SMALL)
            if place.fsspec is not None:
                trying(lambda: place.fsspec.put_file(name, place.path))
                return
            # Arrow completes an upload that is not closed when it frees it, unless a request failed. Since the content
            # is mapped, nothing but a request can fail between opening and closing.
            with pa.memory_map(name) as content:
                stream = place.filesystem.open_output_stream(place.path, compression=None)
                try:
                    while len(block := content.read_buffer(_UPLOADED)):
                        stream.write(block)
                        stream.flush()
                    stream.close()
                except OSError:
                    with suppress(OSError):
                        stream.close()
                    raise

    def _at(self, path: PurePosixPath) -> StorePath:
        text = "" if str(path) == "/" else str(path)
        return StorePath(self.url._replace(path=text))

    def _root(self) -> Url:
        return self.url._replace(path="")

    def __str__(self) -> str:
        return self.url.shown

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorePath) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __lt__(self, other: StorePath) -> bool:
        return self.url < other.url

    def __reduce__(self) -> tuple[Any, ...]:
        return StorePath, (self.url,)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches a glob's pattern: `**` is any folders, and a name with a dot in front is hidden."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        visible = list(takewhile(lambda part: not part.startswith("."), parts))
        return any(_matches(parts[begin:], pattern[1:]) for begin in range(len(visible) + 1))
    return (
        len(parts) > 0
        and fnmatchcase(parts[0], pattern[0])
        and (pattern[0].startswith(".") or not parts[0].startswith("."))
        and _matches(parts[1:], pattern[1:])
    )
