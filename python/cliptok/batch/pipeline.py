"""The stages of a job before the last as generators, each over the pieces of the one before."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.piece import Piece
from cliptok.batch.reading.reader import Reading
from cliptok.batch.summary import Clock
from cliptok.batch.tokenizing import Tokenizing
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.parts import Parts
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

_SECONDS_BETWEEN_LOOKS = 1.0
"""At an input in a store, whether it is still the same."""
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
        made_of = {"settings": self.settings, "input": shard.identity()}
        return Parts(shard.target, made_of, self.rows_in_part(shard))

    def rows_in_part(self, shard: Shard) -> int | None:
        """Rows of a shard's input that are committed together; None where all are."""
        if shard.is_stream or shard.size <= self.whole:
            return None
        return min(self.part_rows, TAR_ROWS) if shard.kind == "tar" else self.part_rows


def read(job: Job, work: Work, clock: Clock) -> Iterator[Piece]:
    """The texts of the parts that are missing of every shard, in chunks, each part followed by its end mark."""
    for shard, parts in list(work.items()):
        looked = perf_counter()
        runs = list(parts.runs())
        pieces = job.reading.parts(shard, job.rows, parts.rows, runs, fingerprints=not shard.is_stream)
        while True:
            with clock("reading"), blaming(shard):
                piece = next(pieces, None)
                if piece is None:
                    break
                # In a store that takes a request, and parts of another content are of no use when the last one says so.
                is_costly = piece.next is not None and not isinstance(shard.source, Path)
                if piece.table is None and not (is_costly and perf_counter() - looked < _SECONDS_BETWEEN_LOOKS):
                    shard.check_unchanged()
                    looked = perf_counter()
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
            before = piece.part * (job.rows_in_part(piece.shard) or 0)
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
