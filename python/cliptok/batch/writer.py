"""The last stage of a job, pieces to outputs, part by part; and `run`, which gives each stage its thread."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, cast

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok._common.prefetch import prefetch, write_in_background
from cliptok.batch.pipeline import Job, ShardError, Work, blaming, encode, read, tokenize
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.naming import naming
from cliptok.batch.reading.piece import Piece
from cliptok.batch.reading.reader import check_has_texts
from cliptok.batch.stores.paths import NewFile, new_file
from cliptok.batch.summary import Clock, Counts
from cliptok.batch.writing import lance_dataset
from cliptok.batch.writing.checksums import PLACEHOLDER, seal
from cliptok.batch.writing.create import Output, create
from cliptok.batch.writing.joining import join
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.parts import Parts
from cliptok.batch.writing.tar_output import TarOutput

if TYPE_CHECKING:
    from cliptok.batch.conditioning import Conditions
    from cliptok.batch.encoding import Encoding

_UPLOADS = 4
"""Whole outputs that are uploaded at once."""


class Listener(Protocol):
    """Receives the progress of a job."""

    def moved(self, piece: Piece) -> None:
        """Rows were written."""

    def committed(self, end: Piece) -> None:
        """A part is complete: the piece marks its end."""

    def finished(self, shard: Shard, record: Record) -> None:
        """An output is complete and has its name."""


class Writer:
    """Writes the pieces that it is called with, one output per part, each under a temporary name until complete.

    A shard's only part is its output; several are committed one by one, and joined when all are there. To a store
    they are uploaded while others are written: one part, so that a kill costs little more than the one in hand, or some
    whole outputs.
    """

    def __init__(self, job: Job, work: Work, clock: Clock, listener: Listener) -> None:
        self._job, self._work, self._clock, self._listener = job, work, clock, listener
        self._output: Output | None = None
        self._made: NewFile | None = None
        self._pool = ThreadPoolExecutor(_UPLOADS, thread_name_prefix="cliptok-upload")
        self._uploads: deque[tuple[Future[None], Piece, Record | None]] = deque()

    def __call__(self, piece: Piece) -> None:
        """Write the rows of a piece, or complete the part at the end mark, and with the last one the output."""
        shard = piece.shard
        if piece.table is not None:
            with self._clock("writing"), writing(shard):
                self._write(shard, piece.counts, piece.table)
            self._listener.moved(piece)
        elif isinstance(shard.target, Path):
            with self._clock("writing"), writing(shard):
                commit, record = self._finish(piece)
                commit()
            self._committed(piece, record)
        else:
            self._settle(_UPLOADS - 1 if _is_whole(piece) else 0)
            with self._clock("writing"), writing(shard):
                commit, record = self._finish(piece)
            self._uploads.append((self._pool.submit(commit), piece, record))

    def _write(self, shard: Shard, counts: Counts, table: pa.Table) -> None:
        if self._output is None:
            shard.target.parent.mkdir(parents=True, exist_ok=True)
            self._made = new_file(shard.target)
            draft = record_of(self._job, shard, counts, _NO_DIGEST)
            self._output = create(shard.target.suffix[1:], self._made.file, table, draft)
        self._output.write(table)

    def _finish(self, end: Piece) -> tuple[Callable[[], None], Record | None]:
        """Complete a part. Returns what commits it, and the record of an output that has no other part."""
        assert self._output is not None  # Every part has a table.
        assert self._made is not None
        output, made, target, parts = self._output, self._made, end.shard.target, self._work[end.shard]
        record = record_of(self._job, end.shard, end.counts, "" if end.origin is None else end.origin.sha256)
        output.finish(record)
        is_whole = _is_whole(end)
        if is_whole:
            record["sha256"] = seal(made.file, target.suffix[1:])
        names = output.names if isinstance(output, TarOutput) else None
        self._output = self._made = None

        def commit() -> None:
            is_kept = False
            try:
                if is_whole:
                    made.commit()
                else:
                    is_kept = parts.commit(made, end, names)
            finally:
                if not is_kept:
                    made.close()

        return commit, record if is_whole else None

    def _committed(self, end: Piece, record: Record | None) -> None:
        """Tell of a part that is there, and join the parts of a shard that has all."""
        self._listener.committed(end)
        parts = self._work[end.shard]
        if record is None and parts.is_complete:
            with self._clock("writing"):
                record = join_parts(self._job, end.shard, parts)
        if record is not None:
            self._listener.finished(end.shard, record)
            del self._work[end.shard]

    def _settle(self, left: int) -> None:
        """Wait until there are no more uploads than that. Raises BadInputError for one that failed."""
        while len(self._uploads) > left:
            upload, end, record = self._uploads.popleft()
            with self._clock("writing"), writing(end.shard):
                upload.result()
            self._committed(end, record)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._output is not None:
            self._output.abandon()
        if self._made is not None:
            self._made.close()
        failed = error
        while self._uploads:
            try:
                self._settle(len(self._uploads) - 1)
            except BadInputError as found:  # noqa: PERF203 (the others count all the same)
                failed = failed or found
        self._pool.shutdown()
        if failed is not None and failed is not error:
            raise failed


def _is_whole(end: Piece) -> bool:
    """Whether a part is all of an output."""
    return end.part == 0 and end.next is None and end.shard.target.suffix != lance_dataset.SUFFIX


_NO_DIGEST = "0" * 64


def record_of(job: Job, shard: Shard, counts: Counts, fingerprint: str) -> Record:
    """The record of an output, before its checksum is known."""
    made_of = {**shard.identity(), "sha256": fingerprint}
    return {"settings": job.settings, "input": made_of, "sha256": PLACEHOLDER, "counts": counts.as_dict()}


def join_parts(job: Job, shard: Shard, parts: Parts) -> Record:
    """Make a shard's output of its parts, which are then gone, and return its record.

    The input's fingerprint is computed here where no run has read all of it.
    """
    counts = parts.counts()
    with blaming(shard):
        with naming(shard.source):
            check_has_texts(shard.kind, job.reading.column or "txt", counts)
            parts.check_names()
        record = record_of(job, shard, counts, parts.fingerprint() or job.reading.fingerprint(shard))
        shard.check_unchanged()
    if shard.target.suffix == lance_dataset.SUFFIX:
        with writing(shard):
            folder, target = cast(Path, parts.folder), cast(Path, shard.target)
            record["sha256"] = lance_dataset.write_dataset(parts.files(), folder, target, record)
            parts.remove()
        return record
    with writing(shard), closing(new_file(shard.target)) as made:
        format = shard.target.suffix[1:]
        join(format, parts.files(), made.file, record)
        record["sha256"] = seal(made.file, format)
        made.commit()
        parts.remove()
    return record


@contextmanager
def writing(shard: Shard) -> Iterator[None]:
    """Turn errors of writing a shard's output into BadInputError that names it; those of its rows into ShardError."""
    try:
        yield
    except BadInputError as error:
        raise ShardError(shard, f"{shard.source}: {error}") from error
    except (OSError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise BadInputError(f"{shard.target}: {reason or error}") from error


def run(job: Job, encoding: "Encoding | Conditions | None", work: Work, writer: Writer, clock: Clock) -> None:
    """Run all stages in this process: one thread reads, one tokenizes, one encodes, one writes."""
    pieces = tokenize(job, prefetch(read(job, work, clock)), clock)
    if encoding is not None:
        pieces = encode(encoding, prefetch(pieces), clock)
    with writer:
        write_in_background(pieces, writer)
