"""Any input file as Arrow tables of valid texts, in chunks of even size."""

import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok._common.signatures import format_of_stream
from cliptok.batch.reading.arrow_ipc import read_arrow
from cliptok.batch.reading.delimited import Dialect, delimited_columns, read_delimited
from cliptok.batch.reading.inputs import STDIN, Shard
from cliptok.batch.reading.lines import json_fields, read_json_lines, read_text
from cliptok.batch.reading.list_columns import LISTS_IN, WITH_LISTS, is_texts, unfold
from cliptok.batch.reading.null_and_utf8_policies import clean
from cliptok.batch.reading.parquet import read_parquet, text_columns
from cliptok.batch.reading.sample_fields import KEY
from cliptok.batch.reading.streams import opened, opened_text
from cliptok.batch.reading.tar import read_tar
from cliptok.batch.summary import Counts

_UNITS = {"txt": "line", "tar": "sample"}
"""What a row is called in errors, where it is not a row."""
_DEFAULT_COLUMNS = {"txt": "text", "tar": "txt"}
DELIMITED = ("csv", "tsv")

ROWS = 1 << 15
BYTES = 1 << 25

_Tables = Iterator[tuple[pa.Table, int]]


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
    samples: bool = False
    """Whether rows become samples of an archive. Then they have names, in the column `__key__`: as in the archive that
    is read or a column says, else their numbers in the input."""

    def record(self) -> dict[str, Any]:
        """What an output's record says of it: not what is as it was before there was a choice."""
        return {name: value for name, value in self._asdict().items() if name != "samples" or value}

    def tables(self, shard: Shard, counts: Counts, rows: int = ROWS) -> _Tables:
        """(table, bytes of the input read so far): strings without null, then the columns to keep.

        Tables have `rows` rows, less where these are long; the last has what is left. There is at least one. If the
        texts are kept too, they are the last column. Raises BadInputError that names the file and the row.
        """
        with naming(shard.source):
            for column, unit, found in self._raw_tables(shard):
                cleaned = self._cleaned(found, unit, counts)
                for table, position in _rechunk(cleaned, rows):
                    if column in self.keep:
                        table = table.append_column(column, table.column(0))
                    yield table, position

    def _cleaned(self, tables: _Tables, unit: str, counts: Counts) -> _Tables:
        first = 0
        for raw, position in tables:
            table, rows = raw, np.arange(len(raw))
            if self.captions is not None and is_texts(raw.schema.types[0]):
                table, rows = unfold(raw, self.captions, self.seed, first)
            if self.samples and KEY not in table.column_names:
                keys = [f"{number:09}" for number in (rows + first + 1).tolist()]
                table = table.append_column(KEY, pa.array(keys, pa.string()))
            yield clean(table, unit, self.on_null, self.on_undecodable, counts, rows + first + 1), position
            first += len(raw)

    def _raw_tables(self, shard: Shard) -> Iterator[tuple[str, str, _Tables]]:
        """The texts' column, the name of a row, and the tables as they are in the file: once, with the file open."""
        if shard.kind in ("parquet", "tar"):
            column = (
                self.column
                or _DEFAULT_COLUMNS.get(shard.kind)
                or self._chosen(*text_columns(shard, self.captions is not None))
            )
            if shard.kind == "parquet":
                found = read_parquet(shard, column, self._others(column), self.captions is not None)
            else:
                found = read_tar(shard, column, self._others(column), self.captions is not None, self.samples)
            yield column, _UNITS.get(shard.kind, "row"), found
            return
        if shard.kind == "arrow":
            with opened(shard) as source:
                column, found = read_arrow(source, self._column_of, list(self.keep), self.captions is not None)
                yield column, "row", found
            return
        with opened_text(shard) as source:
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
                found = read_text(source, column, keep)
            elif kind == "jsonl":
                found = read_json_lines(source, column, keep, self.captions is not None)
            else:
                found = read_delimited(source, column, keep, delimiter, self.dialect)
            yield column, _UNITS.get(kind, "row"), found

    def _others(self, column: str) -> list[str]:
        return [name for name in dict.fromkeys(self.keep) if name != column]

    def _column_of(self, able: list[str], names: list[str]) -> str:
        return self.column or self._chosen(able, names)

    def _chosen(self, able: list[str], names: list[str]) -> str:
        if self.guess and len(able) == 1:
            return able[0]
        have = f"; there are {', '.join(names)}" if names else ""
        raise BadInputError(f"name the column that has the texts, column= or --column{have}")


def _rechunk(tables: Iterator[tuple[pa.Table, int]], rows: int) -> Iterator[tuple[pa.Table, int]]:
    """Re-chunk to tables of `rows` rows, or of some 32 MiB where those are larger. Nothing is copied."""
    waiting: list[pa.Table] = []
    is_first, position = True, 0
    for table, position in tables:
        joined = pa.concat_tables([*waiting, table])
        size = rows if joined.nbytes <= BYTES else max(1, min(rows, len(joined) * BYTES // joined.nbytes))
        begin = 0
        while len(joined) - begin >= size:
            yield joined.slice(begin, size), position
            begin += size
            is_first = False
        waiting = [joined.slice(begin)]
    if is_first or len(waiting[0]):
        yield waiting[0], position


@contextmanager
def naming(source: Path) -> Iterator[None]:
    """Turn errors of the libraries that read the input into BadInputError that names it."""
    name = "standard input" if str(source) == STDIN else str(source)
    try:
        yield
    except BadInputError as error:
        raise BadInputError(f"{name}: {error}") from error
    except OSError as error:
        raise BadInputError(f"{name}: {error.strerror or error}") from error
    except (pa.ArrowException, tarfile.TarError, lzma.LZMAError, EOFError, MemoryError) as error:
        raise BadInputError(f"{name}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
