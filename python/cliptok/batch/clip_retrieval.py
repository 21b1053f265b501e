"""The folders that clip-retrieval and autofaiss read: `text_emb/text_emb_0.npy` beside `metadata/metadata_0.parquet`.

Both are outputs of one input, and rows of one number belong together. So there are two jobs over the same inputs, each
with its own records and parts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.stores.paths import AnyPath
from cliptok.batch.summary import Counts

FORMAT = "clip-retrieval"
_CAPTION = "caption"
"""The column in which clip-retrieval looks for texts."""


class Captions(NamedTuple):
    """In the place of `Tokenizing`, for metadata: texts stay texts, in the column that clip-retrieval shows."""

    def table(self, table: pa.Table, counts: Counts) -> pa.Table:
        """The table with its first column named. Raises BadInputError where another one has that name."""
        texts = table.column_names[0]
        others = [place for place, name in enumerate(table.column_names) if name != texts]  # They may be kept too.
        names = [_CAPTION, *(table.column_names[place] for place in others)]
        if names.count(_CAPTION) > 1:
            raise BadInputError(f"the texts become the column {_CAPTION!r}, and keep has another one of that name")
        return table.select([0, *others]).rename_columns(names)


def outputs(shards: list[Shard], out: AnyPath) -> tuple[list[Shard], list[Shard]]:
    """The shards for embeddings and those for metadata, with numbers in the order of the inputs.

    Raises BadInputError where the folders have others of these files: whoever reads them would read those too.
    """
    width = len(str(len(shards) - 1))
    found = []
    for folder, ending in (("text_emb", "npy"), ("metadata", "parquet")):
        targets = [out / folder / f"{folder}_{number:0{width}}.{ending}" for number in range(len(shards))]
        known = set(targets)
        place: Any = out / folder
        others = [path for path in place.rglob(f"*.{ending}") if path not in known and not path.name.startswith(".")]
        if others:
            raise BadInputError(
                f"{min(others)} is of another job, and would be read with the outputs of this one; remove it, or write"
                " to another folder"
            )
        found.append([shard._replace(target=target) for shard, target in zip(shards, targets, strict=True)])
    return found[0], found[1]
