"""Progress of a running job: the counts so far, the index of its outputs, and a bar or lines that tell of it."""

import sys
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from cliptok.batch.pipeline import Item
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.summary import Clock, Report
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.records import Index

if TYPE_CHECKING:
    from cliptok.encoder import EmbeddingCache

Progress = bool | Literal["lines"] | None
_SECONDS = 60.0
"""Between two lines."""


class JobProgress:
    """The `Listener` of a job: updates its report and index, and shows a bar, or prints a line a minute."""

    def __init__(
        self,
        report: Report,
        index: Index | None,
        todo: list[Shard],
        clock: Clock,
        progress: Progress,
        cache: "EmbeddingCache | None" = None,
    ) -> None:
        self.report, self._index = report, index
        self.clock = clock
        self._cache, self._reused_before = cache, 0 if cache is None else cache.reused
        if cache is not None:
            report.reused = 0
        self._files = len(todo) + report.files
        self._begin = perf_counter()
        self._next_line = self._begin + _SECONDS if progress == "lines" else float("inf")
        self._bytes, self._total = 0, sum(shard.size for shard in todo)
        self._bar: Any = None
        if sys.stderr.isatty() if progress is None else progress is True:
            from tqdm import tqdm

            self._bar = tqdm(total=self._total or None, unit="B", unit_scale=True, leave=False)

    def moved(self, item: Item) -> None:
        """Rows were written."""
        self._show(self._bytes + item.position, self.report.texts_now + item.counts.texts)

    def committed(self, item: Item) -> None:
        """A part is complete."""
        self.report.texts_now += item.counts.texts

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
        self.report.counts.add(record["counts"])
        self.report.files += 1
        self._bytes += shard.size
        self._show(self._bytes, self.report.texts_now)

    def _show(self, position: int, texts: int) -> None:
        now = perf_counter()
        self._count_reused()
        said = f"{texts:,} texts, {texts / (now - self._begin):,.0f}/s"
        if self.report.reused is not None and texts:
            # Encoding is ahead of writing.
            said += f", {min(self.report.reused / texts, 1):.0%} from the cache"
        if self._bar is not None:
            self._bar.set_postfix_str(said, refresh=False)
            self._bar.update(position - self._bar.n)
        elif now >= self._next_line:
            self._next_line = now + _SECONDS
            share = f" ({position / self._total:.0%})" if self._total else ""
            print(f"{self.report.files:,} of {self._files:,} files{share}, {said}", file=sys.stderr, flush=True)

    def __enter__(self) -> "JobProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        self._count_reused()
        self.report.seconds = perf_counter() - self._begin
        self.report.stages = self.clock.seconds
