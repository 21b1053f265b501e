"""The stages of a job as generators, each over the items of the one before; `run` gives each its thread."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok._common.prefetch import prefetch, write_in_background
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.reader import Reading
from cliptok.batch.stores.paths import atomic
from cliptok.batch.summary import Clock, Counts
from cliptok.batch.tokenizing import Tokenizing
from cliptok.batch.writing.checksums import PLACEHOLDER, seal
from cliptok.batch.writing.create import Output, create
from cliptok.batch.writing.outputs import Record
from cliptok.prompts.errors import PromptError

if TYPE_CHECKING:
    from cliptok.batch.conditioning import Conditions, Planning
    from cliptok.batch.encoding import Encoding


class Item(NamedTuple):
    """A chunk of rows of a shard, or the mark of its end."""

    shard: Shard
    counts: Counts
    """Of the shard. Each stage adds to them; they are final in the item that marks the end."""
    table: pa.Table | None
    """None marks the end of the shard."""
    position: int
    """Bytes of the input read so far."""


class Job(NamedTuple):
    """What is done to every shard. Picklable, for Ray."""

    reading: Reading
    tokenizing: "Tokenizing | Planning"
    rows: int
    """Rows per chunk."""
    settings: Record
    """Everything that determines the content of the outputs."""


def read(job: Job, shards: Iterable[Shard], clock: Clock) -> Iterator[Item]:
    """The texts of every shard in chunks, each shard followed by its end mark."""
    for shard in shards:
        counts = Counts()
        tables = job.reading.tables(shard, counts, job.rows)
        table: pa.Table | None = None
        while True:
            with clock("reading"):
                table, position = next(tables, (None, shard.size))
                if table is None:
                    shard.check_unchanged()
            yield Item(shard, counts, table, position)
            if table is None:
                break


def tokenize(job: Job, items: Iterable[Item], clock: Clock) -> Iterator[Item]:
    """Replace texts by ids. Raises BadInputError for a prompt that cannot be read."""
    before = 0
    for item in items:
        if item.table is None:
            before = 0
            yield item
            continue
        with clock("tokenizing"):
            try:
                table = job.tokenizing.table(item.table, item.counts)
            except PromptError as error:
                error.row = None if error.row is None else error.row + before
                raise BadInputError(f"{item.shard.source}: {error}") from None
        before += len(item.table)
        yield item._replace(table=table)


def encode(encoding: "Encoding | Conditions", items: Iterable[Item], clock: Clock) -> Iterator[Item]:
    """Replace ids by embeddings, or prompts by conditioning. Those of a shard never depend on another shard."""
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
            with clock("encoding"):
                table = next(encoded, None)
            yield last._replace(table=table)
            if table is None:
                break


class Listener(Protocol):
    """Receives the progress of a job."""

    def moved(self, item: Item) -> None:
        """Rows were written."""

    def finished(self, shard: Shard, record: Record) -> None:
        """An output is complete and has its name."""


class Writer:
    """Writes the items that it is called with, one output per shard, each under a temporary name until complete."""

    def __init__(self, settings: Record, clock: Clock, listener: Listener) -> None:
        self._settings, self._clock, self._listener = settings, clock, listener
        self._open = ExitStack()
        self._output: Output | None = None
        self._file: BinaryIO

    def __call__(self, item: Item) -> None:
        """Write the rows of an item, or complete the output at the end mark."""
        with self._clock("writing"):
            try:
                record = self._write(item)
            except (OSError, pa.ArrowException) as error:
                reason = error.strerror if isinstance(error, OSError) else None
                raise BadInputError(f"{item.shard.target}: {reason or error}") from error
        if record is None:
            self._listener.moved(item)
        else:
            self._listener.finished(item.shard, record)

    def _write(self, item: Item) -> Record | None:
        made_of = {"settings": self._settings, "input": item.shard.identity(), "sha256": PLACEHOLDER}
        if item.table is not None:
            if self._output is None:
                item.shard.target.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._open.enter_context(atomic(item.shard.target))
                self._output = create(item.shard.target.suffix[1:], self._file, item.table, made_of)
            self._output.write(item.table)
            return None
        assert self._output is not None  # Every shard has a table.
        record = {**made_of, "counts": item.counts.as_dict()}
        self._output.finish(record)
        record["sha256"] = seal(self._file, item.shard.target.suffix[1:])
        self._output = None
        self._open.close()
        return record

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._output is not None:
            self._output.abandon()
        self._open.__exit__(kind, error, trace)


def run(
    job: Job, encoding: "Encoding | Conditions | None", shards: Iterable[Shard], writer: Writer, clock: Clock
) -> None:
    """Run all stages in this process: one thread reads, one tokenizes, one encodes, one writes."""
    items = tokenize(job, prefetch(read(job, shards, clock)), clock)
    if encoding is not None:
        items = encode(encoding, prefetch(items), clock)
    with writer:
        write_in_background(items, writer)
