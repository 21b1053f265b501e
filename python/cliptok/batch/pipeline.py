"""The stages of a job as generators, each over the items of the one before; `run` gives each its thread."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok._common.prefetch import prefetch, write_in_background
from cliptok.batch.reading.fingerprint import Fingerprint
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.naming import naming
from cliptok.batch.reading.places import Place, Run
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
from cliptok.prompts.errors import PromptError

if TYPE_CHECKING:
    from cliptok.batch.clip_retrieval import Captions
    from cliptok.batch.conditioning import Conditions, Planning
    from cliptok.batch.encoding import Encoding


class Item(NamedTuple):
    """A chunk of rows of a part of a shard, or the mark of its end."""

    shard: Shard
    part: int
    """The part's number, from 0."""
    counts: Counts
    """Of the part. Each stage adds to them; they are final in the item that marks the end."""
    table: pa.Table | None
    """None marks the end of the part."""
    position: int
    """Bytes of the input read so far."""
    next: Place | None = None
    """At the end of a part, where the next one can be read; None where the input ends."""
    bytes: int = 0
    """Those of the input that the part was read from so far."""
    fingerprint: str = ""
    """Of the input, at the end of one that was read in one go."""


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


def read(job: Job, work: Work, clock: Clock) -> Iterator[Item]:
    """The texts of the parts that are missing of every shard, in chunks, each part followed by its end mark."""
    for shard, parts in list(work.items()):
        runs = list(parts.runs())
        fingerprint = Fingerprint() if runs == [Run()] and not shard.is_stream else None
        pieces = job.reading.parts(shard, job.rows, parts.rows, runs, fingerprint)
        while True:
            with clock("reading"), _blaming(shard):
                piece = next(pieces, None)
                if piece is None:
                    break
                digest = ""
                if piece.table is None:
                    if fingerprint is not None and piece.next is None:
                        digest = fingerprint.finish()
                    shard.check_unchanged()
            yield Item(shard, *piece, digest)


@contextmanager
def _blaming(shard: Shard) -> Iterator[None]:
    """Turn BadInputError into ShardError. Of an input that changed it says that: what was read means nothing."""
    try:
        try:
            yield
        except BadInputError:
            shard.check_unchanged()
            raise
    except BadInputError as error:
        raise ShardError(shard, str(error)) from error


def tokenize(job: Job, items: Iterable[Item], clock: Clock) -> Iterator[Item]:
    """Replace texts by ids. Raises BadInputError for a prompt that cannot be read."""
    before, part = 0, None
    for item in items:
        if item.table is None:
            yield item
            continue
        if part != (part := (item.shard, item.part)):
            before = job.parts(item.shard).first_row(item.part)
        with clock("tokenizing"):
            try:
                table = job.tokenizing.table(item.table, item.counts)
            except PromptError as error:
                error.row = None if error.row is None else error.row + before
                raise ShardError(item.shard, f"{item.shard.source}: {error}") from None
        before += len(item.table)
        yield item._replace(table=table)


def encode(encoding: "Encoding | Conditions", items: Iterable[Item], clock: Clock) -> Iterator[Item]:
    """Replace ids by embeddings, or prompts by conditioning. Those of a part never depend on another part."""
    items = iter(items)
    for first in items:
        last = first

        def tables(first: Item = first) -> Iterator[pa.Table]:
            nonlocal last
            for last in chain([first], items):
                if last.table is None:
                    return
                yield last.table

        encoded = encoding.tables(tables())
        while True:
            with clock("encoding"), _blaming(first.shard):
                table = next(encoded, None)
            yield last._replace(table=table)
            if table is None:
                break


class Listener(Protocol):
    """Receives the progress of a job."""

    def moved(self, item: Item) -> None:
        """Rows were written."""

    def committed(self, item: Item) -> None:
        """A part is complete: the item marks its end."""

    def finished(self, shard: Shard, record: Record) -> None:
        """An output is complete and has its name."""


class Writer:
    """Writes the items that it is called with, one output per part, each under a temporary name until complete.

    A shard's only part is its output; several are committed one by one, and joined when all are there.
    """

    def __init__(self, job: Job, work: Work, clock: Clock, listener: Listener) -> None:
        self._job, self._work, self._clock, self._listener = job, work, clock, listener
        self._open = ExitStack()
        self._output: Output | None = None
        self._made: NewFile

    def __call__(self, item: Item) -> None:
        """Write the rows of an item, or complete the part at the end mark, and with the last one the output."""
        record = None
        with self._clock("writing"), writing(item.shard):
            if item.table is not None:
                self._write(item, item.table)
            else:
                record = self._finish(item)
        if item.table is not None:
            self._listener.moved(item)
            return
        self._listener.committed(item)
        parts = self._work[item.shard]
        if record is None and parts.is_complete:
            with self._clock("writing"):
                record = join_parts(self._job, item.shard, parts, item.fingerprint)
        if record is not None:
            self._listener.finished(item.shard, record)
            del self._work[item.shard]

    def _write(self, item: Item, table: pa.Table) -> None:
        if self._output is None:
            item.shard.target.parent.mkdir(parents=True, exist_ok=True)
            self._made = self._open.enter_context(new_file(item.shard.target))
            draft = record_of(self._job, item.shard, item.counts, _NO_DIGEST)
            self._output = create(item.shard.target.suffix[1:], self._made.file, table, draft)
        self._output.write(table)

    def _finish(self, item: Item) -> Record | None:
        """Complete a part, and return the record of an output that has no other."""
        assert self._output is not None  # Every part has a table.
        record = record_of(self._job, item.shard, item.counts, item.fingerprint)
        self._output.finish(record)
        self._output = None
        is_whole = item.part == 0 and item.next is None and item.shard.target.suffix != lance_dataset.SUFFIX
        if is_whole:
            record["sha256"] = seal(self._made.file, item.shard.target.suffix[1:])
            self._made.commit()
        else:
            self._work[item.shard].commit(self._made, item.part, item.counts, item.bytes, item.next)
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


def join_parts(job: Job, shard: Shard, parts: Parts, fingerprint: str = "") -> Record:
    """Make a shard's output of its parts, which are then gone, and return its record.

    The input's fingerprint is computed here where no run has read all of it.
    """
    counts = parts.counts()
    with _blaming(shard):
        with naming(shard.source):
            check_has_texts(shard.kind, job.reading.column or "txt", counts)
        record = record_of(job, shard, counts, fingerprint or job.reading.fingerprint(shard))
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
    """Turn errors of writing a shard's output into BadInputError that names it."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise BadInputError(f"{shard.target}: {reason or error}") from error


def run(job: Job, encoding: "Encoding | Conditions | None", work: Work, writer: Writer, clock: Clock) -> None:
    """Run all stages in this process: one thread reads, one tokenizes, one encodes, one writes."""
    items = tokenize(job, prefetch(read(job, work, clock)), clock)
    if encoding is not None:
        items = encode(encoding, prefetch(items), clock)
    with writer:
        write_in_background(items, writer)
