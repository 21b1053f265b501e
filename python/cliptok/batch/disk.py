"""The disk that the rest of a job needs, by what its outputs have taken until now."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from cliptok._common.warning import warn_caller
from cliptok.batch.pipeline import Work
from cliptok.batch.reading.inputs import Shard


class Disk:
    """Watches outputs grow. Warns once, when it is likely that they will not fit."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._unfinished = sum(shard.size for shard in work)
        self._in_parts: dict[Shard, int] = {}
        """What the parts of outputs that are not finished take."""
        self._large = sorted((shard for shard, parts in work.items() if parts.rows), key=lambda shard: shard.size)
        self._read = self._written = 0
        self._has_warned = False
        for shard, parts in work.items():
            for part in parts.done.values():
                self._add(shard, part.bytes, part.file.size)

    def committed(self, shard: Shard, number: int) -> None:
        """A part is there."""
        part = self._work[shard].done.get(number)
        if part is not None:
            self._add(shard, part.bytes, part.file.size)
            self._check(shard)

    def finished(self, shard: Shard) -> None:
        """An output is there, and its parts are gone."""
        self._unfinished -= shard.size
        if self._in_parts.pop(shard, None) is None and isinstance(shard.target, Path):
            with suppress(OSError):
                self._read, self._written = self._read + shard.size, self._written + shard.target.stat().st_size

    def needed(self) -> int | None:
        """About the bytes that are needed further; None before anything is there.

        While a large output is joined, its parts and it are there at once.
        """
        if not self._read:
            return None
        while self._large and self._large[-1] not in self._work:
            self._large.pop()
        joined = self._large[-1].size if self._large else 0
        in_all = (self._unfinished + joined) * self._written / self._read
        return max(0, round(in_all) - sum(self._in_parts.values()))

    def _add(self, shard: Shard, read: int, written: int) -> None:
        self._read, self._written = self._read + read, self._written + written
        self._in_parts[shard] = self._in_parts.get(shard, 0) + written

    def _check(self, shard: Shard) -> None:
        needed = self.needed()
        if self._has_warned or needed is None or not isinstance(shard.target, Path):
            return
        folder = shard.target.parent
        free = shutil.disk_usage(folder).free
        if free < needed:
            self._has_warned = True
            warn_caller(
                f"the rest of the job needs about {in_units(needed)} of disk in {folder}, where {in_units(free)} are"
                " free; what is finished by then stays, and resume goes on"
            )


def in_units(size: int) -> str:
    """Bytes for people."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} TB"
