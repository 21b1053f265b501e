"""The texts of inputs one after another, for commands that write no output for each."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from cliptok.batch.reading.inputs import Paths, Shard, as_shard, expand
from cliptok.batch.reading.reader import Reading
from cliptok.batch.stores.paths import AnyPath
from cliptok.batch.summary import Counts


def shards_of(inputs: Paths | Iterable[Paths], input_format: str | None) -> list[Shard]:
    """The inputs of a command, as those of a job. Raises BadInputError as `find` does."""
    return [as_shard(path, path, input_format) for path, _ in expand(inputs, None)]


def texts_of(
    shards: Iterable[Shard], reading: Reading, counts: Counts
) -> Iterator[tuple[AnyPath, pa.ChunkedArray, int]]:
    """(file, column of strings without null, bytes of the file read so far) in chunks of some ten thousand texts.

    `counts` is updated. Raises BadInputError that names the file, and the row or the columns.
    """
    for shard in shards:
        own = Counts()
        for table, position in reading.tables(shard, own):
            yield shard.source, table.column(0), position
        shard.check_unchanged()
        counts.add(own.as_dict())
