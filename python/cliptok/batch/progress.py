"""Progress of a running job: the counts so far, the index of its outputs, and a bar, lines or a log that tell of it."""

import json
import sys
from contextlib import ExitStack
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast

from cliptok.batch.disk import Disk
from cliptok.batch.pipeline import Work
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.piece import Piece
from cliptok.batch.summary import Clock, Report
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.records import Index

if TYPE_CHECKING:
    from cliptok.encoder import EmbeddingCache

Progress = bool | Literal["lines"] | None
_SECONDS = 60.0
"""Between two lines."""


class JobProgress:
    """The `Listener` of a job: updates its report and index, and shows a bar, or prints a line a minute.

    A log gets a line of JSON for each part.
    """

    def __init__(
        self,
        report: Report,
        index: Index | None,
        work: Work,
        clock: Clock,
        progress: Progress,
        log: Path | None = None,
        cache: "EmbeddingCache | None" = None,
    ) -> None:
        self.report, self._index = report, index
        self.clock = clock
        self._files = len(work) + report.files
        self._parts = sum(len(parts.done) for parts in work.values())
        self._begin = self._last = perf_counter()
        self._cache, self._reused_before = cache, 0 if cache is None else cache.reused
        if cache is not None:
            report.reused = 0
        self._next_line = self._begin + _SECONDS if progress == "lines" else float("inf")
        self._total = sum(shard.size for shard in work)
        self._bytes = self._before = sum(part.bytes for parts in work.values() for part in parts.done.values())
        self._is_shown = sys.stderr.isatty() if progress is None else progress is True
        self._disk = Disk(work)
        report.disk_needed = self._disk.needed()
        self._path, self._log = log, cast("FileIO | None", None)
        self._open = ExitStack()
        self._bar: Any = None

    def moved(self, piece: Piece) -> None:
        """Rows were written."""
        self._show(self._bytes + piece.bytes, self.report.texts_now + piece.counts.texts)

    def committed(self, end: Piece) -> None:
        """A part is complete."""
        self.came(end.shard, end.part, end.counts.as_dict(), end.bytes)

    def came(self, shard: Shard, number: int, counts: dict[str, int], read: int) -> None:
        """A part is complete, whoever made it."""
        self.report.texts_now += counts["texts"]
        self._parts += 1
        self._bytes += read
        self._disk.committed(shard, number)
        self.report.disk_needed = self._disk.needed()
        now = perf_counter()
        if self._log is not None:
            line = {
                "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                "input": str(shard.source),
                "output": str(shard.target),
                "part": number,
                **counts,
                "bytes": read,
                "seconds": round(now - self._last, 3),
                "bytes_done": self._bytes,
                "bytes_total": self._total,
                "texts_per_second": round(self.report.texts_now / (now - self._begin)),
                "seconds_left": self._seconds_left(self._bytes, now),
                "disk_needed": self.report.disk_needed,
            }
            try:
                self._log.write(json.dumps(line).encode() + b"\n")
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._last = now
        self._show(self._bytes, self.report.texts_now)

    def reused(self, texts: int) -> None:
        """Texts were not encoded, in another process, since its cache had them."""
        self.report.reused = (self.report.reused or 0) + texts

    def _count_reused(self) -> None:
        if self._cache is not None:
            now = self._cache.reused
            self.reused(now - self._reused_before)
            self._reused_before = now

    def finished(self, shard: Shard, record: Record) -> None:
        """An output is complete and has its name."""
        if self._index is not None:
            self._index.add(shard, record)
        self._disk.finished(shard)
        self.report.counts.add(record["counts"])
        self.report.files += 1

    def _seconds_left(self, position: int, now: float) -> float | None:
        """By the bytes of the inputs that were read in this run, and those that are left."""
        done = position - self._before
        return round((self._total - position) * (now - self._begin) / done, 1) if done > 0 < self._total else None

    def _show(self, position: int, texts: int) -> None:
        now = perf_counter()
        self._count_reused()
        said = f"{self._parts:,} parts, {texts:,} texts, {texts / (now - self._begin):,.0f}/s"
        if self.report.reused is not None and texts:
            # Encoding is ahead of writing.
            said += f", {min(self.report.reused / texts, 1):.0%} from the cache"
        if self._bar is not None:
            self._bar.set_postfix_str(said, refresh=False)
            self._bar.update(position - self._bar.n)
        elif now >= self._next_line:
            self._next_line = now + _SECONDS
            share = f" ({position / self._total:.0%})" if self._total else ""
            left = self._seconds_left(position, now)
            rest = "" if left is None else f", {_duration(left)} left"
            print(f"{self.report.files:,} of {self._files:,} files{share}, {said}{rest}", file=sys.stderr, flush=True)

    def __enter__(self) -> "JobProgress":
        if self._path is not None:
            self._log = self._open.enter_context(self._path.open("ab", buffering=0))
        if self._is_shown:
            from tqdm import tqdm

            # Time left is of this run's rate: what an earlier one did is not counted in.
            bar = tqdm(total=self._total or None, initial=self._before, unit="B", unit_scale=True, leave=False)
            self._bar = self._open.enter_context(bar)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        self._count_reused()
        self.report.seconds = perf_counter() - self._begin
        self.report.stages = self.clock.seconds


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
