"""The parts of an output: committed one by one to a hidden folder beside it, so that a job goes on inside a file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from cliptok._common.atomic_files import leftovers
from cliptok.batch.formats import FORMATS
from cliptok.batch.reading.piece import Origin, Piece
from cliptok.batch.reading.places import BEGIN, Place, Run
from cliptok.batch.stores.paths import AnyPath, NewFile, remove_tree
from cliptok.batch.summary import Counts
from cliptok.batch.writing.joining import PartFile
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.tar_output import check_names_differ

_MAGIC = b"cliptok1"
_BLOCK = 1 << 22
_COPIED = 1 << 32
"""Bytes of an output's parts in a store that stay on this machine too until they are joined."""


class Part(NamedTuple):
    """A part that was committed."""

    file: PartFile
    counts: dict[str, int]
    bytes: int
    """Of the input that it was read from."""
    next: Place | None
    """Where the next part can be read; None where the input ends."""
    origin: Origin | None
    """What it was read from."""
    names: tuple[str, str] | None
    """Of the first and the last sample of an archive."""


class Parts:
    """The parts of one output.

    A part is a file: an output like any other, and behind it how it was made, with a checksum.
    """

    def __init__(self, target: AnyPath, made_of: Record, rows: int | None) -> None:
        self.folder = folder_of(target)
        self.rows = rows
        """Of the input in each part; None where all of it is one."""
        self.done: dict[int, Part] = {}
        self.wanted: list[Run] | None = None
        """Which of the missing parts are to be made; None for all."""
        self.doubtful: dict[int, Part] = {}
        """Parts that `find` found whose input had another name or time: whether it was the same, its content says."""
        self._made_of = {**made_of, "part_rows": rows}
        self._copies: dict[int, NewFile] = {}
        """Of parts in a store, those whose content is still here, so that joining need not fetch them."""

    def find(self) -> None:
        """Look for the parts that earlier runs committed of the same input, with the same settings.

        Others are removed, and so is what a kill left half written.
        """
        if isinstance(self.folder, Path) and self.folder.is_symlink():
            self.remove()  # The link; files elsewhere are not ours.
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
                part, is_sure = found
                (self.done if is_sure else self.doubtful)[int(path.stem)] = part

    def keep(self, numbers: set[int]) -> None:
        """Of the doubtful parts, keep these and remove the others."""
        for number, part in self.doubtful.items():
            if number in numbers:
                self.done[number] = part
            else:
                part.file.path.unlink(missing_ok=True)
        self.doubtful = {}

    def _read(self, path: AnyPath) -> tuple[Part, bool] | None:
        """A part, and whether its input had the name and the time that it has now."""
        if isinstance(path, Path) and not path.is_file():
            return None  # To open a pipe would wait for whoever writes to it.
        wrong = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
        with suppress(*wrong), path.open("rb") as file:
            end = file.seek(0, 2) - len(_MAGIC) - 8
            file.seek(max(end, 0))
            length = int.from_bytes(file.read(8), "little")
            if file.read() != _MAGIC or length > end:
                return None
            file.seek(end - length)
            record: dict[str, Any] = json.loads(file.read(length))
            size = end - length
            sha256 = record.pop("sha256")
            if record["number"] != int(path.stem) or _sealed(file, size, record) != sha256:
                return None
            made_of, is_sure = record["made_of"], record["made_of"] == self._made_of
            if not is_sure and (_but_version(made_of) != _but_version(self._made_of) or record["origin"] is None):
                return None
            next_place = None if record["next"] is None else Place(*record["next"])
            origin = None
            if record["origin"] is not None:
                first, place, digest = record["origin"]
                origin = Origin(first, Place(*place), digest)
            names = None if record["names"] is None else tuple(record["names"])
            return Part(PartFile(path, size), record["counts"], record["bytes"], next_place, origin, names), is_sure
        return None

    def path(self, number: int) -> AnyPath:
        """Where a part is."""
        return self.folder / f"{number:06}.part"

    def commit(self, made: NewFile, end: Piece, names: tuple[str, str] | None = None) -> bool:
        """Add the part that `end` marks the end of, an output that is complete but has no name yet. Raises OSError.

        Returns whether `made` is kept here until the parts are removed; else the caller closes it.
        """
        size = made.file.seek(0, 2)
        record = {
            "made_of": self._made_of,
            "number": end.part,
            "counts": end.counts.as_dict(),
            "bytes": end.bytes,
            "next": end.next,
            "origin": end.origin,
            "names": names,
        }
        text = json.dumps({**record, "sha256": _sealed(made.file, size, record)}).encode()
        made.file.seek(size)
        made.file.write(text + len(text).to_bytes(8, "little") + _MAGIC)
        self.folder.mkdir(exist_ok=True)
        path = self.path(end.part)
        made.commit(path)
        is_kept = not isinstance(path, Path) and sum(part.file.size for part in self.done.values()) < _COPIED
        if is_kept:
            self._copies[end.part] = made
        file = PartFile(path, size)
        self.done[end.part] = Part(file, end.counts.as_dict(), end.bytes, end.next, end.origin, names)
        return is_kept

    @property
    def number(self) -> int | None:
        """How many parts there are, once the last one is known."""
        return next((number + 1 for number, part in self.done.items() if part.next is None), None)

    @property
    def is_complete(self) -> bool:
        """Whether all parts are there."""
        return self.number == len(self.done)

    def runs(self) -> Iterator[Run]:
        """The parts that are missing and wanted."""
        if self.wanted is not None:
            yield from self.wanted
            return
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

    def fingerprint(self) -> str:
        """That of the whole input, where one run has read all of it, else nothing."""
        last = max(self.done)
        origin = self.done[last].origin
        return origin.sha256 if origin is not None and origin.is_whole else ""

    def check_names(self) -> None:
        """Raise BadInputError where the last sample of a part and the first of the next have one name."""
        last = None
        for _, part in sorted(self.done.items()):
            if part.names is not None:
                check_names_differ(last, part.names[0])
                last = part.names[1]

    def files(self) -> list[PartFile]:
        """The parts in their order."""
        copies = {number: made.file for number, made in self._copies.items()}
        return [part.file._replace(copy=copies.get(number)) for number, part in sorted(self.done.items())]

    def remove(self) -> None:
        """Remove all parts, as when they have become an output."""
        self.close()
        remove_tree(self.folder)

    def close(self) -> None:
        """Let go of what is here of parts in a store."""
        for made in self._copies.values():
            made.close()
        self._copies = {}


def folder_of(target: AnyPath) -> AnyPath:
    """Where the parts of an output are."""
    return target.with_name(f".{target.name}.parts")


def left_over(target: AnyPath) -> list[int]:
    """The bytes of each part that is there of an output, whatever it was made of."""
    return [path.stat().st_size for path in folder_of(target).glob("*.part")]


def output_of(folder: Path) -> str | None:
    """The name of the output whose parts are in a folder; None for another folder."""
    found = re.fullmatch(rf"\.(.+\.(?:{'|'.join(FORMATS)}))\.parts", folder.name)
    return found[1] if found else None


def _but_version(made_of: Any) -> Any:
    """What a part was made of, but for the name of the input, and its time or what a store calls its version."""
    return {**made_of, "input": {name: made_of["input"][name] for name in ("kind", "size")}}


def _sealed(file: BinaryIO, size: int, record: dict[str, Any]) -> str:
    """The SHA-256 of the first bytes of a file and of a record, which says where the next part begins."""
    found = hashlib.sha256()
    file.seek(0)
    while size and (block := file.read(min(size, _BLOCK))):
        found.update(block)
        size -= len(block)
    found.update(json.dumps(record).encode())
    return found.hexdigest()
