"""Any input file as Arrow tables of valid texts, in chunks of even size."""

import lzma
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.delimited import read_csv
from cliptok.batch.reading.inputs import STDIN, Shard
from cliptok.batch.reading.lines import read_json_lines, read_text
from cliptok.batch.reading.null_and_utf8_policies import clean
from cliptok.batch.reading.parquet import read_parquet
from cliptok.batch.reading.tar import read_tar
from cliptok.batch.summary import Counts


class _Kind(NamedTuple):
    read: Callable[[Shard, str, list[str]], Iterator[tuple[pa.Table, int]]]
    column: str | None
    """Default name of the column of texts; None where it must be named."""
    unit: str


_KINDS = {
    "txt": _Kind(read_text, "text", "line"),
    "jsonl": _Kind(read_json_lines, None, "row"),
    "csv": _Kind(read_csv, None, "row"),
    "tsv": _Kind(read_csv, None, "row"),
    "parquet": _Kind(read_parquet, None, "row"),
    "tar": _Kind(read_tar, "txt", "sample"),
}

ROWS = 1 << 15
BYTES = 1 << 25


class Reading(NamedTuple):
    """The options for reading the inputs."""

    column: str | None = None
    keep: tuple[str, ...] = ()
    on_null: str = "error"
    on_undecodable: str = "error"

    def tables(self, shard: Shard, counts: Counts, rows: int = ROWS) -> Iterator[tuple[pa.Table, int]]:
        """(table, bytes of the input read so far): strings without null, then the columns to keep.

        Tables have `rows` rows, less where these are long; the last has what is left. There is at least one. If the
        texts are kept too, they are the last column. Raises BadInputError that names the file and the row.
        """
        kind = _KINDS[shard.kind]
        with naming(shard.source):
            column = self.column or kind.column
            if column is None:
                raise BadInputError("name the column that has the texts, as in column='caption'")
            keep = [name for name in dict.fromkeys(self.keep) if name != column]
            found = (
                (clean(table, kind.unit, self.on_null, self.on_undecodable, counts), position)
                for table, position in kind.read(shard, column, keep)
            )
            for table, position in _rechunk(found, rows):
                if column in self.keep:
                    table = table.append_column(column, table.column(0))
                yield table, position


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
    except (pa.ArrowException, tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise BadInputError(f"{name}: {error}") from error
