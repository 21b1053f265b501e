"""`EmbeddingCache`: embeddings on disk in LMDB, bounded in size, shared by threads, processes and runs.

Two tables. `blocks` has the embeddings in the order in which they came, some hundred to a block under a growing number;
`index` says for each key in which block and row its embedding is, and the checksum of it. Blocks, since LMDB stores
values in pages: two kilobytes alone would take four. What is evicted are the oldest blocks.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import struct
import threading
import weakref
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from cliptok._common.extras import need
from cliptok.tokenizer.calls.options import check_int, check_path

if TYPE_CHECKING:
    import lmdb

T = TypeVar("T")
Bytes = npt.NDArray[np.uint8]

MAX_BYTES = 16 << 30
KEY_BYTES = 16
_LEAST = 1 << 20
_FORMAT = b"embeddings 1"
_BLOCK_BYTES = 1 << 18  # Free runs of pages as long as this are still found in a file that is often written anew.
_ROWS = struct.Struct("<Q")
_NUMBER = struct.Struct(">Q")  # LMDB orders keys by their bytes.
_PLACE = np.dtype([("block", ">u8"), ("row", "<u4"), ("checksum", "<u4")])


@dataclasses.dataclass(eq=False)
class _Tables:
    env: lmdb.Environment
    index: Any
    blocks: Any


_opened: weakref.WeakValueDictionary[tuple[int, int], _Tables] = weakref.WeakValueDictionary()
"""What is open, by its file: LMDB must open none twice in a process."""
_lock = threading.RLock()


def _after_fork() -> None:
    """A child opens its own."""
    global _lock
    _lock = threading.RLock()
    for tables in list(_opened.values()):
        tables.env.close()
    _opened.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class EmbeddingCache:
    """Embeddings in a folder on a local disk, by what they were computed with and of, for `TextEncoder.encode`.

    `max_bytes` bounds the folder's size. Where that is reached, the embeddings that were stored first are evicted. (The
    file does not shrink: a lower bound than an earlier one holds for what is stored from then on.)

    Any number of processes and threads may use a folder at once, and be killed at any moment: what was stored stays,
    and each call of `put` is stored whole or not at all. It does not work on network file systems. Picklable.

    Needs the extra `cache`. Raises ValueError for a folder that holds something else or is damaged, and OSError where
    it cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> None:
        need("a cache of embeddings", "lmdb")
        check_int("max_bytes", max_bytes, _LEAST)
        if "://" in (name := check_path("cache", folder, "a folder")):
            raise ValueError(f"cache is {name}; expected a folder on a local disk")
        self.folder = Path(name).absolute()
        self.max_bytes = max_bytes
        self.asked = 0
        """Texts that were asked for."""
        self.encoded = 0
        """Distinct texts of these that had to be encoded; the others were there, or repeat one of these."""
        self._open()

    @property
    def reused(self) -> int:
        """Texts that were asked for and had not to be encoded."""
        return self.asked - self.encoded

    def get(self, keys: Sequence[bytes], out: Bytes) -> npt.NDArray[np.bool_]:
        """Fill the rows of `out` (n, bytes) whose keys are there, and say which (n,). `keys` are distinct.

        Rows that the disk has damaged, by their checksum, are none.
        """
        there = np.zeros(len(keys), bool)

        def read(tables: _Tables) -> None:
            # Small values are cheaper as bytes, blocks as views. A block that goes in between is checked for below.
            with tables.env.begin(db=tables.index) as txn:
                found = [txn.get(key) for key in keys]
            numbers = np.array([number for number, place in enumerate(found) if place is not None], np.int64)
            places = np.frombuffer(b"".join(place for place in found if place is not None), _PLACE)
            order = np.argsort(places["block"], kind="stable")
            numbers, places = numbers[order], places[order]
            with tables.env.begin(db=tables.blocks, buffers=True) as txn:
                bounds = np.flatnonzero(np.diff(places["block"], prepend=places["block"][:1] + 1)).tolist()
                for start, stop in pairwise([*bounds, len(places)]):
                    chosen, at = numbers[start:stop], places[start:stop]
                    block = txn.get(at["block"][:1].tobytes())
                    if block is not None:
                        there[chosen] = _copy(block, at, [keys[number] for number in chosen], out, chosen)

        self._run("read", read)
        return there

    def put(self, keys: Sequence[bytes], values: Bytes) -> None:
        """Store the rows of `values` (n, bytes) under their keys, all of them or, if they are too many, none."""
        if not len(keys):
            return
        import lmdb

        values = np.ascontiguousarray(values)
        try:
            self._run("written", lambda tables: self._store(tables, keys, values))
        except lmdb.MapFullError:
            # Room that was given up is in pieces, or a reader still sees it: begin anew.
            self._run("written", self._clear)
            with suppress(lmdb.MapFullError):
                self._run("written", lambda tables: self._store(tables, keys, values))

    def _store(self, tables: _Tables, keys: Sequence[bytes], values: Bytes) -> None:
        row_bytes = values.shape[1]
        together = max(1, _BLOCK_BYTES // row_bytes)
        with tables.env.begin() as txn:
            index_bytes = _bytes_of(txn, tables.index)
        # LMDB writes changed pages elsewhere, and keys are all over the index, so there must be room for it twice.
        limit = self.max_bytes * 3 // 4 - values.nbytes - index_bytes
        if values.nbytes > self.max_bytes // 2:
            return
        self._make_room(tables, limit)
        with tables.env.begin(write=True) as txn:
            with txn.cursor(tables.blocks) as cursor:
                number = _NUMBER.unpack(cursor.key())[0] + 1 if cursor.last() else 0
            places = np.empty(len(keys), _PLACE)
            places["checksum"] = [zlib.crc32(row) for row in values]
            for start in range(0, len(keys), together):
                stop = min(start + together, len(keys))
                places["block"][start:stop], places["row"][start:stop] = number, range(stop - start)
                head = _ROWS.pack(stop - start) + b"".join(keys[start:stop])
                txn.put(_NUMBER.pack(number), head + values[start:stop].tobytes(), append=True, db=tables.blocks)
                number += 1
            packed, size = places.tobytes(), _PLACE.itemsize
            found = [packed[begin : begin + size] for begin in range(0, len(packed), size)]
            with txn.cursor(tables.index) as cursor:
                cursor.putmulti(sorted(zip(keys, found, strict=True)))

    def _make_room(self, tables: _Tables, limit: int) -> None:
        """Evict the oldest blocks until pages in use take at most `limit` bytes."""
        with tables.env.begin() as txn:
            if _bytes_of(txn, tables.index, tables.blocks) <= limit:
                return
        tables.env.reader_check()  # Processes that were killed while they read.
        with tables.env.begin(write=True) as txn, txn.cursor(tables.blocks) as oldest:
            while _bytes_of(txn, tables.index, tables.blocks) > limit and oldest.first():
                number, block = oldest.key(), oldest.value()
                (rows,) = _ROWS.unpack_from(block)
                for start in range(_ROWS.size, _ROWS.size + rows * KEY_BYTES, KEY_BYTES):
                    key = block[start : start + KEY_BYTES]
                    place = txn.get(key, db=tables.index)
                    if place is not None and place.startswith(number):
                        txn.delete(key, db=tables.index)
                oldest.delete()
        self._free(tables)

    def _clear(self, tables: _Tables) -> None:
        with tables.env.begin(write=True) as txn:
            for table in (tables.index, tables.blocks):
                txn.drop(table, delete=False)
        self._free(tables)

    @staticmethod
    def _free(tables: _Tables) -> None:
        """Let pages that were given up be used again, which takes one more transaction that writes."""
        with tables.env.begin(write=True) as txn:
            txn.put(b"freed", os.urandom(8))

    def _open(self) -> _Tables:
        import lmdb

        with _lock:
            tables = _opened.get(self._file() or (0, 0))
            if tables is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                try:
                    env = lmdb.open(
                        str(self.folder), map_size=self.max_bytes, max_dbs=2, max_readers=1024, meminit=False
                    )
                    _check(env)
                    tables = _Tables(env, env.open_db(b"index"), env.open_db(b"blocks"))
                except (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.CorruptedError, _ForeignError) as error:
                    raise ValueError(
                        f"cache {self.folder} holds no sound cache of embeddings ({error}); name another folder, or "
                        "remove it"
                    ) from None
                except lmdb.Error as error:
                    raise self._failed("opened", error) from error
                _opened[self._file() or (0, 0)] = tables
            self._tables = tables  # Which keeps it open.
            return tables

    def _file(self) -> tuple[int, int] | None:
        try:
            status = (self.folder / "data.mdb").stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _run(self, what: str, work: Callable[[_Tables], T]) -> T:
        import lmdb

        with _lock:
            try:
                tables = self._open()
                try:
                    return work(tables)
                except lmdb.MapResizedError:  # Another process has a larger bound, and has filled it.
                    tables.env.set_mapsize(0)
                    return work(tables)
            except lmdb.MapFullError:
                raise
            except lmdb.Error as error:
                raise self._failed(what, error) from error

    def _failed(self, what: str, error: Exception) -> OSError:
        return OSError(errno.EIO, f"the cache of embeddings cannot be {what}: {error}", str(self.folder))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_tables"}

    def __repr__(self) -> str:
        return f"EmbeddingCache({str(self.folder)!r}, max_bytes={self.max_bytes})"


def as_cache(cache: EmbeddingCache | str | os.PathLike[str] | None) -> EmbeddingCache | None:
    """The cache, or the one in a folder."""
    return cache if cache is None or isinstance(cache, EmbeddingCache) else EmbeddingCache(cache)


class _ForeignError(Exception):
    """An LMDB file that is not ours."""


def _check(env: lmdb.Environment) -> None:
    """Raise _ForeignError for another program's file, and for one shorter than it says, which would be fatal."""
    if (env.info()["last_pgno"] + 1) * env.stat()["psize"] > Path(env.path(), "data.mdb").stat().st_size:
        raise _ForeignError("the file is shorter than it was")
    with env.begin() as txn:
        found = txn.get(b"cliptok")
        if found == _FORMAT:
            return
    with env.begin(write=True) as txn:
        found = txn.get(b"cliptok")
        if found is None and txn.stat()["entries"]:
            raise _ForeignError("it is another program's LMDB")
        if found not in (None, _FORMAT):
            raise _ForeignError(f"its format is {found.decode(errors='replace')!r}, of another version of cliptok")
        txn.put(b"cliptok", _FORMAT)


def _bytes_of(txn: lmdb.Transaction, *tables: Any) -> int:
    """Bytes of the pages that tables take."""
    stats = [txn.stat(table) for table in tables]
    return sum((stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]) * stat["psize"] for stat in stats)


def _copy(
    block: Any, places: npt.NDArray[Any], keys: list[bytes], out: Bytes, chosen: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Copy rows of a block to the chosen rows of `out`; which of them are sound, and of these keys."""
    (rows,) = _ROWS.unpack_from(block)
    begin = _ROWS.size + rows * KEY_BYTES
    if len(block) - begin != rows * out.shape[1] or places["row"].max() >= rows:
        return np.zeros(len(places), bool)
    there = np.frombuffer(block, f"S{KEY_BYTES}", rows, _ROWS.size)[places["row"]]
    out[chosen] = np.frombuffer(block, np.uint8, offset=begin).reshape(rows, -1)[places["row"]]
    sums = np.array([zlib.crc32(out[number]) for number in chosen], np.uint32)
    same: npt.NDArray[np.bool_] = (there == np.array(keys, f"S{KEY_BYTES}")) & (sums == places["checksum"])
    return same
