"""A job with its inputs and outputs looked up: what is to be made, what is finished, and running the rest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cliptok._common.atomic_files import remove_leftovers
from cliptok._common.errors import BadInputError
from cliptok.batch.on_ray import run_on_ray
from cliptok.batch.pipeline import Job, Writer, join_parts, run
from cliptok.batch.progress import JobProgress, Progress
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.stores.paths import AnyPath
from cliptok.batch.summary import Clock, PlannedOutput, Report
from cliptok.batch.writing.lance_dataset import is_dataset
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.parts import Parts
from cliptok.batch.writing.records import Index, find_finished

if TYPE_CHECKING:
    from cliptok.batch.conditioning import Conditions
    from cliptok.batch.encoder_source import EncoderSource
    from cliptok.batch.encoding import Encoding


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

        return [PlannedOutput(str(shard.source), str(shard.target), action(shard)) for shard in self._shards]

    def run(
        self,
        encoding: Encoding | Conditions | None,
        source: EncoderSource | None,
        ray: bool | str,
        clock: Clock,
        progress: Progress,
    ) -> Report:
        """Make the outputs that are not finished. Raises JobInterrupted for KeyboardInterrupt."""
        index, todo = self._index, self._todo
        cache = getattr(encoding, "cache", None)
        try:
            paths = [*(shard.target for shard in todo), *([index.path] if index is not None else [])]
            remove_leftovers(path for path in paths if isinstance(path, Path))
            if index is not None:
                index.write(self._finished)
            work = self._work()
            with JobProgress(self.report, index, todo, clock, progress, cache) as job_progress:
                for shard in [shard for shard, parts in work.items() if parts.is_complete]:
                    job_progress.finished(shard, join_parts(self._job, shard, work.pop(shard)))
                if ray is False or not todo:
                    run(self._job, encoding, work, Writer(self._job, work, clock, job_progress), clock)
                else:
                    address = None if ray is True else ray
                    run_on_ray(self._job, cast("Encoding | None", encoding), source, todo, job_progress, address)
            if index is not None:
                index.write(self._shards)
        except OSError as error:
            raise BadInputError(f"{error.filename or self._out}: {error.strerror or error}") from error
        except KeyboardInterrupt as error:
            raise JobInterrupted(self.report, len(self._shards)) from error
        return self.report

    def _work(self) -> dict[Shard, Parts]:
        """What is to be made, with the parts that are there. Parts that are of no use are removed."""
        work = {shard: self._job.parts(shard) for shard in self._todo}
        for shard, parts in work.items():
            if self._resume and parts.rows is not None and not shard.is_stream:
                parts.find()
            if not parts.done:
                parts.remove()
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
    """Whether there is anything of that name, a link to nothing too."""
    return os.path.lexists(path) if isinstance(path, Path) else path.exists()
