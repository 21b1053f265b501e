"""What an input's content is recognised by: a SHA-256 that is computed while it is read for the first time."""

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_LARGE = 1 << 20  # Half a millisecond of hashing: less is not worth a thread, of which each file would begin one.


class Fingerprint:
    """The SHA-256 of what a reader takes from a file: see `Reading.fingerprint`.

    A thread hashes a large block while the reader, which others wait for, goes on to the next one.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._raw: WatchedFile | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cliptok-fingerprint")  # Begun when it is first needed.
        self._pending: Future[None] | None = None

    def update(self, data: bytes) -> None:
        """Add bytes."""
        self._wait()
        if len(data) < _LARGE:
            self._hash.update(data)
        else:
            self._pending = self._thread.submit(self._hash.update, data)

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None

    def watching(self, raw: Any) -> "WatchedFile":
        """The open file, whose bytes are added as they are read, all of them in the end."""
        self._raw = watched = WatchedFile(raw, self)
        return watched

    def read_rest(self) -> None:
        """Add what is left of a file that is watched, which is about to be closed."""
        while self._raw is not None and self._raw.read(1 << 22):
            pass
        self._raw = None

    def so_far(self) -> str:
        """The digest of what was read until now."""
        self._wait()
        return self._hash.hexdigest()

    def finish(self) -> str:
        """The digest, once the file is read."""
        self.read_rest()
        return self.so_far()


class WatchedFile:
    """A file that is read once from somewhere to its end, possibly after a look at its beginning."""

    closed = False

    def __init__(self, raw: Any, fingerprint: Fingerprint) -> None:
        self._raw, self._fingerprint = raw, fingerprint

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        found: bytes = self._raw.read(size)
        self._fingerprint.update(found)
        return found

    def seek(self, offset: int) -> None:
        """Read on from there."""
        self._raw.seek(offset)

    def tell(self) -> int:
        """Where it is read next."""
        at: int = self._raw.tell()
        return at

    def seekable(self) -> bool:
        """Whether the file has a position: whoever reads it asks."""
        return bool(self._raw.seekable())

    def readable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Nothing: whoever opened the file closes it."""
