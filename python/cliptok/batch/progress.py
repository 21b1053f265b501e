"""Progress of a running job: the counts so far, the index of its outputs, and the bar on a terminal."""

import sys
from time import perf_counter
from types import TracebackType
from typing import Any

from cliptok.batch.pipeline import Item
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.summary import Clock, Report
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.records import Index


class JobProgress:
    """The `Listener` of a job: updates its report, its index and its progress bar."""

    def __init__(self, report: Report, index: Index | None, todo: list[Shard], progress: bool | None) -> None:
        self._report, self._index = report, index
        self.clock = Clock()
        self._begin = perf_counter()
        self._bytes = 0
        self._bar: Any = None
        if sys.stderr.isatty() if progress is None else progress:
            from tqdm import tqdm

            total = sum(shard.size for shard in todo)
            self._bar = tqdm(total=total or None, unit="B", unit_scale=True, leave=False)

    def moved(self, item: Item) -> None:
        """Rows were written."""
        if self._bar is not None:
            self._show(self._bytes + item.position, self._report.texts_now + item.counts.texts)

    def finished(self, shard: Shard, record: Record) -> None:
        """An output is complete and has its name."""
        if self._index is not None:
            self._index.add(shard, record)
        self._report.counts.add(record["counts"])
        self._report.texts_now += record["counts"]["texts"]
        self._report.files += 1
        self._bytes += shard.size
        if self._bar is not None:
            self._show(self._bytes, self._report.texts_now)

    def _show(self, position: int, texts: int) -> None:
        rate = texts / (perf_counter() - self._begin)
        self._bar.set_postfix_str(f"{texts:,} texts, {rate:,.0f}/s", refresh=False)
        self._bar.update(position - self._bar.n)

    def __enter__(self) -> "JobProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        self._report.seconds = perf_counter() - self._begin
        self._report.stages = self.clock.seconds
