"""Any input file as Arrow tables of valid texts, in chunks of even size."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok._common.json_files import some
from cliptok._common.signatures import format_of_stream
from cliptok.batch.reading.arrow_ipc import read_arrow
from cliptok.batch.reading.chunks import Chunks, SharedTexts
from cliptok.batch.reading.delimited import Dialect, delimited_columns, read_delimited
from cliptok.batch.reading.fingerprint import Fingerprint
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.json_lines import json_fields, read_json_lines
from cliptok.batch.reading.lines import read_text
from cliptok.batch.reading.list_columns import LISTS_IN, WITH_LISTS, is_texts, unfold
from cliptok.batch.reading.naming import naming
from cliptok.batch.reading.null_and_utf8_policies import clean
from cliptok.batch.reading.parquet import fingerprint_columns, read_parquet, text_columns
from cliptok.batch.reading.piece import Origin, Piece
from cliptok.batch.reading.places import BEGIN, Place, Raw, Run
from cliptok.batch.reading.sample_fields import KEY
from cliptok.batch.reading.streams import opened, opened_text
from cliptok.batch.reading.tar import read_tar
from cliptok.batch.summary import Counts

_UNITS = {"txt": "line", "tar": "sample"}
"""What a row is called in errors, where it is not a row."""
_DEFAULT_COLUMNS = {"txt": "text", "tar": "txt"}
DELIMITED = ("csv", "tsv")

ROWS = 1 << 15


class Reading(NamedTuple):
    """The options for reading the inputs."""

    column: str | None = None
    keep: tuple[str, ...] = ()
    on_null: str = "error"
    on_undecodable: str = "error"
    dialect: Dialect = Dialect()
    guess: bool = False
    """Whether `column` may be left out where only one column has strings."""
    captions: str | None = None
    """Which text of a column of lists: one of CAPTIONS. None where columns have strings."""
    seed: int = 0
    """Of captions "random"."""
    samples: str = ""
    """Where rows become samples of an archive, what their arrays become: npy or safetensors. Then they have names, in
    the column `__key__`: as in the archive that is read or a column says, else their numbers in the input."""

    def record(self) -> dict[str, Any]:
        """What an output's record says of it: not what is as it was before there was a choice."""
        return {name: value for name, value in self._asdict().items() if name != "samples" or value}

    def tables(self, shard: Shard, counts: Counts, rows: int = ROWS) -> Iterator[tuple[pa.Table, int]]:
        """(table, bytes of the input read so far): strings without null, then the columns to keep.

        Tables have `rows` rows, less where these are long; the last has what is left. There is at least one. If the
        texts are kept too, they are the last column. Raises BadInputError that names the file and the row.
        """
        for piece in self.parts(shard, rows, counting=lambda: counts):
            if piece.table is not None:
                yield piece.table, piece.position

    def parts(
        self,
        shard: Shard,
        rows: int = ROWS,
        part_rows: int | None = None,
        runs: Iterable[Run] = (Run(),),
        counting: Callable[[], Counts] = Counts,
        fingerprints: bool = False,
    ) -> Iterator[Piece]:
        """The same in parts: `part_rows` rows of the input each, or all; of these, the ones that `runs` name.

        A part's tables do not depend on which others are read. With `fingerprints` each part has its origin.
        """
        for run in runs:
            fingerprint = Fingerprint() if fingerprints else None
            with naming(shard.source):
                for column, kind, raws in self._raw_tables(shard, run.place, fingerprint):
                    yield from self._in_parts(shard, column, kind, raws, rows, part_rows, run, counting, fingerprint)

    def _in_parts(
        self,
        shard: Shard,
        column: str,
        kind: str,
        raws: Iterator[Raw],
        rows: int,
        part_rows: int | None,
        run: Run,
        counting: Callable[[], Counts],
        fingerprint: Fingerprint | None,
    ) -> Iterator[Piece]:
        number, row, total = run.first, run.place.row, Counts()
        first_row = run.first * (part_rows or 0)
        counts, chunks = counting(), Chunks(rows)
        position, begin = 0, None

        def piece(table: pa.Table | None, next_place: Place | None = None) -> Piece:
            origin = None
            if table is None and fingerprint is not None:
                digest = fingerprint.so_far() if next_place is not None else fingerprint.finish()
                origin = Origin(run.first, run.place, digest)
            return Piece(shard, number, counts, table, position, position - (begin or 0), next_place, origin)

        for raw in raws:
            size, position = len(raw.table), raw.position
            begin = position if begin is None else begin
            at = min(size, max(0, first_row - row))
            shared = SharedTexts(raw.table.column(0))
            while True:
                end = size if part_rows is None else (number + 1) * part_rows - row
                if at == end < size:  # There is more, so another part.
                    yield from (piece(self._kept(chunk, column)) for chunk in chunks.rest())
                    yield piece(None, raw.place)
                    begin = position
                    total.add(counts.as_dict())
                    number += 1
                    if number == run.stop:
                        return
                    counts, chunks = counting(), Chunks(rows)
                    continue
                some = raw.table.slice(at, min(end, size, shared.stop(at)) - at)
                if len(some) or not size:
                    cleaned = self._cleaned(some, _UNITS.get(kind, "row"), row + at, counts)
                    yield from (piece(self._kept(chunk, column)) for chunk in chunks.add(cleaned))
                at += len(some)
                if at == size:
                    break
            row += size
        if run.first == 0:  # Before the end is told, at which an output gets its name.
            total.add(counts.as_dict())
            check_has_texts(kind, column, total)
        yield from (piece(self._kept(chunk, column)) for chunk in chunks.rest())
        yield piece(None)

    def _kept(self, table: pa.Table, column: str) -> pa.Table:
        return table.append_column(column, table.column(0)) if column in self.keep else table

    def _cleaned(self, table: pa.Table, unit: str, first: int, counts: Counts) -> pa.Table:
        rows = np.arange(len(table))
        if self.captions is not None and is_texts(table.schema.types[0]):
            table, rows = unfold(table, self.captions, self.seed, first)
        if self.samples and KEY not in table.column_names:
            keys = [f"{number:09}" for number in (rows + first + 1).tolist()]
            table = table.append_column(KEY, pa.array(keys, pa.string()))
        return clean(table, unit, self.on_null, self.on_undecodable, counts, rows + first + 1)

    def fingerprint(self, shard: Shard) -> str:
        """The SHA-256 by which the content is recognised, for which the file is read: of all its bytes.

        Of Parquet, those of its footer and of the columns that are read; of a tar that is not compressed, of what is
        read of its samples. Raises BadInputError as `parts`.
        """
        found = Fingerprint()
        with naming(shard.source):
            if shard.kind == "parquet":
                column = self.column or self._chosen(*text_columns(shard, self.captions is not None))
                fingerprint_columns(shard, column, self._others(column), found)
            elif shard.kind == "tar" and not shard.compression:
                for _, _, raws in self._raw_tables(shard, BEGIN, found):
                    for _ in raws:
                        pass
            else:
                with opened(shard._replace(compression=None), 0, found):
                    return found.finish()
        return found.finish()

    def _raw_tables(
        self, shard: Shard, place: Place, fingerprint: Fingerprint | None
    ) -> Iterator[tuple[str, str, Iterator[Raw]]]:
        """The texts' column, the kind, and the tables as they are in the file: once, with the file open."""
        if shard.kind in ("parquet", "tar"):
            column = (
                self.column
                or _DEFAULT_COLUMNS.get(shard.kind)
                or self._chosen(*text_columns(shard, self.captions is not None))
            )
            if shard.kind == "parquet":
                is_lists = self.captions is not None
                found = read_parquet(shard, column, self._others(column), is_lists, place, fingerprint)
            else:
                is_lists = self.captions is not None
                found = read_tar(shard, column, self._others(column), is_lists, bool(self.samples), place, fingerprint)
            yield column, shard.kind, found
            return
        if shard.kind == "arrow":
            with opened(shard, 0, fingerprint) as source:
                column, found = read_arrow(source, self._column_of, list(self.keep), self.captions is not None)
                yield column, shard.kind, found
            return
        with opened_text(shard, place.offset, fingerprint) as source:
            kind = shard.kind or format_of_stream(source.stream.peek(1 << 12), self.column)
            if self.captions is not None and kind not in WITH_LISTS:
                raise BadInputError(f"captions is for lists in {LISTS_IN}; {kind} has none")
            delimiter = self.dialect.delimiter or ("\t" if kind == "tsv" else ",")
            column = self.column or _DEFAULT_COLUMNS.get(kind, "")
            if not column and kind == "jsonl":
                fields = json_fields(source, self.captions is not None)
                column = self._chosen(fields, fields)
            elif not column:
                column = self._chosen(*delimited_columns(source, delimiter, self.dialect))
            keep = self._others(column)
            if kind == "txt":
                found = read_text(source, column, keep, place)
            elif kind == "jsonl":
                found = read_json_lines(source, column, keep, self.captions is not None, place)
            else:
                found = read_delimited(source, column, keep, delimiter, self.dialect)
            yield column, kind, found

    def _others(self, column: str) -> list[str]:
        return [name for name in dict.fromkeys(self.keep) if name != column]

    def _column_of(self, able: list[str], names: list[str]) -> str:
        return self.column or self._chosen(able, names)

    def _chosen(self, able: list[str], names: list[str]) -> str:
        if self.guess and len(able) == 1:
            return able[0]
        have = f"; there are {some(names)}" if names else ""
        raise BadInputError(f"name the column that has the texts, column= or --column{have}")


def check_has_texts(kind: str, column: str, counts: Counts) -> None:
    """Raise BadInputError where not one of an input's rows has a text, as where a field's name is misspelt."""
    if kind == "jsonl" and counts.null == counts.rows > 0:
        raise BadInputError(f"no line has a text in the field {column!r}")
    if kind == "tar" and counts.null == counts.rows:
        what = "a text in the field" if "." in column else "a file with the extension"
        raise BadInputError(f"no sample has {what} {column!r}")
