"""A job with its inputs and outputs looked up: what is to be made, what is finished, and running the rest."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cliptok._common.atomic_files import remove_leftovers
from cliptok._common.errors import BadInputError
from cliptok.batch.pipeline import Job, ShardError, Work
from cliptok.batch.progress import JobProgress, Progress
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.resuming import find_parts
from cliptok.batch.spread import Pool, processes, spread
from cliptok.batch.stores.paths import AnyPath
from cliptok.batch.summary import Clock, PlannedOutput, Report
from cliptok.batch.writer import Writer, join_parts, run
from cliptok.batch.writing.lance_dataset import is_dataset
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.parts import Parts, left_over
from cliptok.batch.writing.records import Index, find_finished

if TYPE_CHECKING:
    from cliptok.batch.conditioning import Conditions
    from cliptok.batch.encoder_source import EncoderSource
    from cliptok.batch.encoding import Encoding


_TOO_MANY = 10
"""Inputs that cannot be read, where not one can: then the rest is not tried."""


class Running(NamedTuple):
    """How a job runs, which changes nothing of its outputs."""

    ray: bool | str = False
    devices: list[str] = []  # noqa: RUF012 (never changed)
    """Of several processes, what each computes on."""
    progress: Progress = None
    log: Path | None = None
    """A file that gets a line for each part."""


def _remove_leftovers(paths: Iterable[AnyPath]) -> None:
    # In stores nothing is there before it is whole.
    remove_leftovers(path for path in paths if isinstance(path, Path))


def _said(failed: list[ShardError], finished: int) -> str:
    """What is wrong with the inputs that could not be read, and what became of the others."""
    more = (
        ""
        if len(failed) == 1
        else f"; and {len(failed) - 1:,} more: {', '.join(str(e.shard.source) for e in failed[1:])}"
    )
    others = f" ({finished:,} other outputs are finished)" if finished else ""
    return f"{failed[0]}{more}{others}"


class JobInterrupted(KeyboardInterrupt):  # It is no error, as KeyboardInterrupt is none.
    """Ctrl-C, or a signal that a program turns into KeyboardInterrupt, during a job. Finished outputs stay."""

    def __init__(self, report: Report, files: int) -> None:
        super().__init__("the job was interrupted")
        self.report = report
        """What was done until then."""
        self.files = files
        """Outputs that the whole job makes."""


class PlannedJob:
    """The outputs of a job: those that an earlier run finished, and those to make.

    Raises BadInputError for outputs that exist where they are neither to be resumed nor to be overwritten.
    """

    def __init__(
        self, job: Job, shards: list[Shard], out: AnyPath, *, resume: bool, check: bool, overwrite: bool
    ) -> None:
        self._job, self._shards, self._out = job, shards, out
        is_folder_of_arrays = shards[0].target.suffix == ".npy" and shards[0].target != out
        self._index = Index(out) if is_folder_of_arrays else None
        self._finished: dict[Shard, Record] = {}
        if resume:
            if self._index is not None:
                self._index.read()
            found = ((shard, find_finished(shard, job.settings, job.reading, self._index, check)) for shard in shards)
            self._finished = {shard: record for shard, record in found if record is not None}
        self._todo = [shard for shard in shards if shard not in self._finished]
        self._resume = resume
        self._check_targets(may_replace=resume or overwrite)
        self.report = Report(str(out))
        for record in self._finished.values():
            self.report.counts.add(record["counts"])
        self.report.files = self.report.finished_before = len(self._finished)
        if resume:
            self.report.made_anew = sum(shard.target.exists() for shard in self._todo)

    def outputs(self) -> list[PlannedOutput]:
        """Each output and what the job does about it."""

        def action(shard: Shard) -> str:
            if shard in self._finished:
                return "finished"
            return "make anew" if shard.target.exists() else "make"

        found = []
        for shard in self._shards:
            sizes = left_over(shard.target) if self._resume else []
            found.append(PlannedOutput(str(shard.source), str(shard.target), action(shard), len(sizes), sum(sizes)))
        return found

    def run(
        self,
        encoding: Encoding | Conditions | None,
        source: EncoderSource | None,
        how: Running,
        clock: Clock,
    ) -> Report:
        """Make the outputs that are not finished.

        An input that cannot be read does not keep the others from being made. Raises BadInputError for it then, and
        JobInterrupted for KeyboardInterrupt.
        """
        index, todo = self._index, self._todo
        failed: list[ShardError] = []
        work: Work = {}
        cache = getattr(encoding, "cache", None)
        try:
            _remove_leftovers([*(shard.target for shard in todo), *([index.path] if index is not None else [])])
            if index is not None:
                index.write(self._finished)
            work = self._work()
            self.report.parts_before = sum(len(parts.done) for parts in work.values())
            with (
                JobProgress(self.report, index, work, clock, how.progress, how.log, cache) as job_progress,
                ExitStack() as stack,
            ):
                for shard in [shard for shard, parts in work.items() if parts.is_complete]:
                    job_progress.finished(shard, join_parts(self._job, shard, work.pop(shard)))
                pool = self._pool(encoding, source, how, stack) if work else None
                while work:
                    try:
                        if pool is None:
                            run(self._job, encoding, work, Writer(self._job, work, clock, job_progress), clock)
                        else:
                            spread(self._job, work, pool, encoding is not None, job_progress)
                    except ShardError as error:  # noqa: PERF203 (then the others are made)
                        failed.append(error)
                        work.pop(error.shard).close()
                        if len(failed) == _TOO_MANY and not self.report.files:
                            break
            if pool is not None:  # A worker that died may have left some.
                _remove_leftovers(shard.target for shard in todo)
            if index is not None:
                index.write(self._shards)
            if not failed:
                self.report.disk_needed = 0
        except OSError as error:
            raise BadInputError(f"{error.filename or self._out}: {error.strerror or error}") from error
        except KeyboardInterrupt as error:
            _remove_leftovers(shard.target for shard in todo)  # Of processes that were ended.
            files = [file for parts in work.values() for file in parts.files()]
            self.report.parts, self.report.parts_bytes = len(files), sum(file.size for file in files)
            raise JobInterrupted(self.report, len(self._shards)) from error
        finally:
            for parts in work.values():
                parts.close()
        if failed:
            raise BadInputError(_said(failed, self.report.files)) from failed[0]
        return self.report

    def _pool(
        self, encoding: Encoding | Conditions | None, source: EncoderSource | None, how: Running, stack: ExitStack
    ) -> Pool | None:
        """Who makes the parts: None for this process alone."""
        if how.ray is not False:
            from cliptok.batch.on_ray import on_ray

            return stack.enter_context(on_ray(self._job, source, encoding, None if how.ray is True else how.ray))
        if len(how.devices) > 1:
            return stack.enter_context(processes(self._job, source, encoding, how.devices))
        return None

    def _work(self) -> dict[Shard, Parts]:
        """What is to be made, with the parts that are there. Parts that are of no use are removed."""
        work = {}
        for shard in self._todo:
            if self._resume:
                work[shard] = find_parts(self._job, shard)
            else:
                work[shard] = self._job.parts(shard)
                work[shard].remove()
        for shard in self._finished:
            self._job.parts(shard).remove()
        return work

    def _check_targets(self, may_replace: bool) -> None:
        there = [shard.target for shard in self._todo if _is_there(shard.target)]
        for target in there:
            if not target.is_file() and not is_dataset(target):
                raise BadInputError(f"{target} is in the way of an output and is no file; remove it")
        if there and not may_replace:
            others = f", and {len(there) - 1:,} more" if len(there) > 1 else ""
            raise BadInputError(
                f"{there[0]} exists{others}; resume (--resume) keeps outputs that are finished, overwrite (--overwrite)"
                " replaces them all"
            )


def _is_there(path: AnyPath) -> bool:
    """Whether there is anything of that name, a link to nothing too; in a store, an object."""
    return os.path.lexists(path) if isinstance(path, Path) else path.is_file()
