"""What is left of a job as tasks that any process can do: some parts of one shard each, found without decoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from cliptok.batch.pipeline import Job, ShardError
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.parquet import rows_and_groups
from cliptok.batch.reading.piece import Piece
from cliptok.batch.reading.places import BEGIN, Place, Run
from cliptok.batch.summary import Clock
from cliptok.batch.writer import Writer, run
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.parts import Part, Parts

if TYPE_CHECKING:
    from cliptok.batch.conditioning import Conditions
    from cliptok.batch.encoding import Encoding

_BLOCK = 1 << 24
_BYTE_ORDER_MARK = "\ufeff".encode()


class Task(NamedTuple):
    """Parts of a shard; all of an input that is one part."""

    shard: Shard
    run: Run | None


class Made(NamedTuple):
    """What came of a task."""

    parts: list[tuple[int, Part]]
    texts: int
    record: Record | None
    """Of the output, where the task made all of it."""
    stages: dict[str, float]
    reused: int | None = None
    """Texts that the worker's cache had; None without one."""
    error: str = ""
    """What is wrong with the input; then the rest of it is not made."""


def tasks_of(job: Job, shard: Shard, parts: Parts, is_encoding: bool) -> Iterator[Task]:
    """The tasks for what is missing of a shard.

    Parquet, lines and JSON lines can be read from the middle, so there each part is a task, or as many as a row group
    has. Other inputs are one task, whose parts are made one after another.
    """
    if parts.rows is None:
        yield Task(shard, None)
        return
    missing = list(parts.runs())
    places: Iterator[Place] | None = None
    if shard.kind == "parquet":
        rows, groups = rows_and_groups(shard)
        step = 1 if is_encoding else max(1, rows // max(groups, 1) // parts.rows)
        places = (Place(row) for row in range(0, rows, parts.rows))
    elif shard.kind in ("txt", "jsonl") and not shard.compression:
        step, places = 1, _places_of_lines(shard, parts.rows)
    if places is None:
        yield from (Task(shard, one) for one in missing)
        return
    begin: tuple[int, Place] | None = None
    number = -1
    for number, place in enumerate(places):
        is_missing = any(one.first <= number and (one.stop is None or number < one.stop) for one in missing)
        if begin is not None and (not is_missing or number - begin[0] == step):
            yield Task(shard, Run(begin[0], number, begin[1]))
            begin = None
        if begin is None and is_missing:
            begin = (number, place)
    if begin is not None or number < 0:
        first, place = begin or (0, BEGIN)
        yield Task(shard, Run(first, None, place))


def _places_of_lines(shard: Shard, rows: int) -> Iterator[Place]:
    """Where every so many rows of a file of lines begin. In JSON lines, blank ones are no rows."""
    row, line, offset, wanted = 0, 1, 0, 0
    with shard.source.open("rb") as file:
        if file.read(len(_BYTE_ORDER_MARK)) == _BYTE_ORDER_MARK:
            offset = len(_BYTE_ORDER_MARK)
        file.seek(offset)
        rest = b""
        while block := file.read(_BLOCK):
            data = rest + block
            starts = np.concatenate(([0], np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1))
            end = int(starts[-1])
            starts = starts[:-1]
            lines = len(starts)
            numbers = np.arange(line, line + lines)
            if shard.kind == "jsonl" and lines:
                is_row = _are_rows(data, starts, end)
                starts, numbers = starts[is_row], numbers[is_row]
            while wanted < row + len(starts):
                at = wanted - row
                is_first = wanted == 0
                yield BEGIN if is_first else Place(wanted, offset + int(starts[at]), int(numbers[at]))
                wanted += rows
            row, line, offset, rest = row + len(starts), line + lines, offset + end, data[end:]
        if wanted == row and (rest.strip() if shard.kind == "jsonl" else rest):
            yield BEGIN if wanted == 0 else Place(wanted, offset, line)


def _are_rows(data: bytes, starts: npt.NDArray[Any], end: int) -> npt.NDArray[Any]:
    """Which lines are not blank."""
    found = np.ones(len(starts), bool)
    stops = np.append(starts[1:], end)
    first = np.frombuffer(data, np.uint8)[starts]
    for number in np.flatnonzero(first <= ord(" ")).tolist():
        found[number] = not data[starts[number] : stops[number]].isspace()
    return found


class Worker:
    """Does tasks, one after another, in whatever process it is."""

    def __init__(self, job: Job, encoding: Encoding | Conditions | None) -> None:
        self._job, self._encoding = job, encoding

    def __call__(self, task: Task) -> Made:
        """Do a task. Bad input is part of the result; raises anything else."""
        clock, shard = Clock(), task.shard
        parts = self._job.parts(shard)
        found = _Found()
        cache = getattr(self._encoding, "cache", None)
        before = 0 if cache is None else cache.reused
        if task.run is not None:
            parts.wanted = [task.run]
        try:
            run(self._job, self._encoding, {shard: parts}, Writer(self._job, {shard: parts}, clock, found), clock)
        except ShardError as error:
            found.error = str(error)
        finally:
            parts.close()
        reused = None if cache is None else cache.reused - before
        return Made(sorted(parts.done.items()), found.texts, found.record, clock.seconds, reused, found.error)


class _Found:
    """The `Listener` of a task."""

    def __init__(self) -> None:
        self.texts, self.record, self.error = 0, cast("Record | None", None), ""

    def moved(self, piece: Piece) -> None:
        """Nothing."""

    def committed(self, end: Piece) -> None:
        """A part is complete."""
        self.texts += end.counts.texts

    def finished(self, shard: Shard, record: Record) -> None:
        """The output is complete."""
        self.record = record
