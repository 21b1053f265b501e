"""The parts of an output: committed one by one to a hidden folder beside it, so that a job goes on inside a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from cliptok._common.atomic_files import leftovers
from cliptok.batch.reading.places import BEGIN, Place, Run
from cliptok.batch.stores.paths import AnyPath, NewFile, remove_tree
from cliptok.batch.summary import Counts
from cliptok.batch.writing.joining import PartFile
from cliptok.batch.writing.outputs import Record

_MAGIC = b"cliptok1"
_BLOCK = 1 << 22


class Part(NamedTuple):
    """A part that was committed."""

    file: PartFile
    counts: dict[str, int]
    position: int
    """Bytes of the input read up to its end."""
    next: Place | None
    """Where the next part can be read; None where the input ends."""


class Parts:
    """The parts of one output.

    A part is a file: an output like any other, and behind it how it was made, with a checksum.
    """

    def __init__(self, target: AnyPath, made_of: Record, rows: int | None) -> None:
        self.folder = folder_of(target)
        self.rows = rows
        """Of the input in each part; None where all of it is one."""
        self.done: dict[int, Part] = {}
        self._made_of = {**made_of, "part_rows": rows}

    def find(self) -> None:
        """Look for the parts that earlier runs committed of the same input, with the same settings.

        Others are removed, and so is what a kill left half written.
        """
        if not self.folder.is_dir():
            return
        if isinstance(self.folder, Path):
            for half, _ in leftovers(self.folder):
                half.unlink(missing_ok=True)
        for path in self.folder.glob("*.part"):
            found = self._read(path)
            if found is None:
                path.unlink(missing_ok=True)
            else:
                self.done[int(path.stem)] = found

    def _read(self, path: AnyPath) -> Part | None:
        with suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
            end = file.seek(0, 2) - len(_MAGIC) - 8
            file.seek(max(end, 0))
            length = int.from_bytes(file.read(8), "little")
            if file.read() != _MAGIC or length > end:
                return None
            file.seek(end - length)
            record: dict[str, Any] = json.loads(file.read(length))
            size = end - length
            if record["made_of"] != self._made_of or record["number"] != int(path.stem):
                return None
            if _digest(file, size) != record["sha256"]:
                return None
            next_place = None if record["next"] is None else Place(*record["next"])
            return Part(PartFile(path, size), record["counts"], record["position"], next_place)
        return None

    def path(self, number: int) -> AnyPath:
        """Where a part is."""
        return self.folder / f"{number:06}.part"

    def commit(self, made: NewFile, number: int, counts: Counts, position: int, next_place: Place | None) -> None:
        """Add a part, an output that is complete but has no name yet. Raises OSError."""
        size = made.file.seek(0, 2)
        record = {
            "made_of": self._made_of,
            "number": number,
            "counts": counts.as_dict(),
            "position": position,
            "next": next_place,
            "sha256": _digest(made.file, size),
        }
        text = json.dumps(record).encode()
        made.file.seek(size)
        made.file.write(text + len(text).to_bytes(8, "little") + _MAGIC)
        self.folder.mkdir(exist_ok=True)
        made.commit(self.path(number))
        self.done[number] = Part(PartFile(self.path(number), size), counts.as_dict(), position, next_place)

    def first_row(self, number: int) -> int:
        """Rows of the input before a part."""
        return number * (self.rows or 0)

    @property
    def number(self) -> int | None:
        """How many parts there are, once the last one is known."""
        return next((number + 1 for number, part in self.done.items() if part.next is None), None)

    @property
    def is_complete(self) -> bool:
        """Whether all parts are there."""
        return self.number == len(self.done)

    def runs(self) -> Iterator[Run]:
        """The parts that are missing."""
        total = self.number
        first = 0
        while total is None or first < total:
            if first in self.done:
                first += 1
                continue
            later = [number for number in self.done if number > first]
            stop = min(later) if later else total
            before = self.done.get(first - 1)
            yield Run(first, stop, BEGIN if before is None or before.next is None else before.next)
            if stop is None:
                return
            first = stop

    def counts(self) -> Counts:
        """Of all parts."""
        total = Counts()
        for part in self.done.values():
            total.add(part.counts)
        return total

    def files(self) -> list[PartFile]:
        """The parts in their order."""
        return [part.file for _, part in sorted(self.done.items())]

    def remove(self) -> None:
        """Remove all parts, as when they have become an output."""
        self.done = {}
        remove_tree(self.folder)


def folder_of(target: AnyPath) -> AnyPath:
    """Where the parts of an output are."""
    return target.with_name(f".{target.name}.parts")


def _digest(file: BinaryIO, size: int) -> str:
    found = hashlib.sha256()
    file.seek(0)
    while size and (block := file.read(min(size, _BLOCK))):
        found.update(block)
        size -= len(block)
    return found.hexdigest()
