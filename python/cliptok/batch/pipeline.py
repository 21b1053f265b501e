"""The stages of a job as generators, each over the pieces of the one before; `run` gives each its thread."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok._common.prefetch import prefetch, write_in_background
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.naming import naming
from cliptok.batch.reading.piece import Piece
from cliptok.batch.reading.reader import Reading, check_has_texts
from cliptok.batch.stores.paths import NewFile, new_file
from cliptok.batch.summary import Clock, Counts
from cliptok.batch.tokenizing import Tokenizing
from cliptok.batch.writing import lance_dataset
from cliptok.batch.writing.checksums import PLACEHOLDER, seal
from cliptok.batch.writing.create import Output, create
from cliptok.batch.writing.joining import join
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.parts import Parts
from cliptok.batch.writing.tar_output import TarOutput
from cliptok.prompts.errors import PromptError

if TYPE_CHECKING:
    from cliptok.batch.clip_retrieval import Captions
    from cliptok.batch.conditioning import Conditions, Planning
    from cliptok.batch.encoding import Encoding


class ShardError(BadInputError):
    """What is wrong with one input; those of the job's other shards may be read all the same."""

    def __init__(self, shard: Shard, message: str) -> None:
        super().__init__(message)
        self.shard = shard


Work = dict[Shard, Parts]
"""The shards that are to be made, in order, and of each the parts that are there."""

TAR_ROWS = 1 << 13
"""Samples in a part of an archive at most: finding their captions takes longer than what is done with these."""


class Job(NamedTuple):
    """What is done to every shard. Picklable, for Ray."""

    reading: Reading
    tokenizing: "Tokenizing | Planning | Captions"
    rows: int
    """Rows per chunk."""
    settings: Record
    """Everything that determines the content of the outputs."""
    part_rows: int
    """Rows of an input that are committed together."""
    whole: int = 0
    """Bytes up to which an input is one part, whatever rows it has."""

    def parts(self, shard: Shard) -> Parts:
        """The parts of a shard's output. They depend on the input alone, never on threads, machines or kills."""
        rows = min(self.part_rows, TAR_ROWS) if shard.kind == "tar" else self.part_rows
        made_of = {"settings": self.settings, "input": shard.identity()}
        return Parts(shard.target, made_of, None if shard.is_stream or shard.size <= self.whole else rows)


def read(job: Job, work: Work, clock: Clock) -> Iterator[Piece]:
    """The texts of the parts that are missing of every shard, in chunks, each part followed by its end mark."""
    for shard, parts in list(work.items()):
        runs = list(parts.runs())
        pieces = job.reading.parts(shard, job.rows, parts.rows, runs, fingerprints=not shard.is_stream)
        while True:
            with clock("reading"), blaming(shard):
                piece = next(pieces, None)
                if piece is None:
                    break
                if piece.table is None:
                    shard.check_unchanged()
            yield piece


@contextmanager
def blaming(shard: Shard) -> Iterator[None]:
    """Turn BadInputError into ShardError. Of an input that changed it says that: what was read means nothing."""
    try:
        try:
            yield
        except BadInputError:
            shard.check_unchanged()
            raise
    except BadInputError as error:
        raise ShardError(shard, str(error)) from error


def tokenize(job: Job, pieces: Iterable[Piece], clock: Clock) -> Iterator[Piece]:
    """Replace texts by ids. Raises BadInputError for a prompt that cannot be read."""
    before, part = 0, None
    for piece in pieces:
        if piece.table is None:
            yield piece
            continue
        if part != (part := (piece.shard, piece.part)):
            before = job.parts(piece.shard).first_row(piece.part)
        with clock("tokenizing"):
            try:
                table = job.tokenizing.table(piece.table, piece.counts)
            except PromptError as error:
                error.row = None if error.row is None else error.row + before
                raise ShardError(piece.shard, f"{piece.shard.source}: {error}") from None
        before += len(piece.table)
        yield piece._replace(table=table)


def encode(encoding: "Encoding | Conditions", pieces: Iterable[Piece], clock: Clock) -> Iterator[Piece]:
    """Replace ids by embeddings, or prompts by conditioning. Those of a part never depend on another part."""
    pieces = iter(pieces)
    for first in pieces:
        last = first

        def tables(first: Piece = first) -> Iterator[pa.Table]:
            nonlocal last
            for last in chain([first], pieces):
                if last.table is None:
                    return
                yield last.table

        encoded = encoding.tables(tables())
        while True:
            with clock("encoding"), blaming(first.shard):
                table = next(encoded, None)
            yield last._replace(table=table)
            if table is None:
                break


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

    A shard's only part is its output; several are committed one by one, and joined when all are there.
    """

    def __init__(self, job: Job, work: Work, clock: Clock, listener: Listener) -> None:
        self._job, self._work, self._clock, self._listener = job, work, clock, listener
        self._open = ExitStack()
        self._output: Output | None = None
        self._made: NewFile

    def __call__(self, piece: Piece) -> None:
        """Write the rows of a piece, or complete the part at the end mark, and with the last one the output."""
        shard, record = piece.shard, None
        with self._clock("writing"), writing(shard):
            if piece.table is not None:
                self._write(shard, piece.counts, piece.table)
            else:
                record = self._finish(piece)
        if piece.table is not None:
            self._listener.moved(piece)
            return
        self._listener.committed(piece)
        parts = self._work[shard]
        if record is None and parts.is_complete:
            with self._clock("writing"):
                record = join_parts(self._job, shard, parts)
        if record is not None:
            self._listener.finished(shard, record)
            del self._work[shard]

    def _write(self, shard: Shard, counts: Counts, table: pa.Table) -> None:
        if self._output is None:
            shard.target.parent.mkdir(parents=True, exist_ok=True)
            self._made = self._open.enter_context(new_file(shard.target))
            draft = record_of(self._job, shard, counts, _NO_DIGEST)
            self._output = create(shard.target.suffix[1:], self._made.file, table, draft)
        self._output.write(table)

    def _finish(self, end: Piece) -> Record | None:
        """Complete a part, and return the record of an output that has no other."""
        assert self._output is not None  # Every part has a table.
        output, target = self._output, end.shard.target
        record = record_of(self._job, end.shard, end.counts, "" if end.origin is None else end.origin.sha256)
        output.finish(record)
        self._output = None
        is_whole = end.part == 0 and end.next is None and target.suffix != lance_dataset.SUFFIX
        if is_whole:
            record["sha256"] = seal(self._made.file, target.suffix[1:])
            self._made.commit()
        else:
            self._work[end.shard].commit(self._made, end, output.names if isinstance(output, TarOutput) else None)
        self._open.close()
        return record if is_whole else None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._output is not None:
            self._output.abandon()
        self._open.__exit__(kind, error, trace)


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
    with writing(shard), new_file(shard.target) as made:
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
