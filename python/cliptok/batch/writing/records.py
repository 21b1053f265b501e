"""Which outputs an earlier run finished: by the record in each file, or for .npy files in the index beside them."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cliptok._common.atomic_files import atomic_write
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.writing.outputs import RECORD, Record


def find_finished(shard: Shard, settings: Record, index: "Index | None") -> Record | None:
    """The output's record, if the output is complete and made with these settings from the input as it is now."""
    found = _look(shard.target)
    if found is None:
        return None
    rows, record = found
    if index is not None:
        record = index.records.get(index.name(shard))
    if record is None or (record.get("settings"), record.get("input")) != (settings, shard.identity()):
        return None
    return record if record["counts"]["texts"] == rows else None


def _look(path: Path) -> tuple[int, Record | None] | None:
    """(rows, record) from the footer or header of a file. None where it is damaged or missing."""
    import numpy as np
    import pyarrow.parquet as pq
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == ".npy":
            return len(np.lib.format.open_memmap(path, mode="r")), None
        if path.suffix == ".parquet":
            footer = pq.read_metadata(path)
            rows, text = footer.num_rows, (footer.metadata or {}).get(RECORD.encode())
        else:
            with safe_open(path, framework="np") as file:
                (name,) = file.keys()
                rows, text = file.get_slice(name).get_shape()[0], (file.metadata() or {}).get(RECORD)
        return rows, None if text is None else json.loads(text)
    except (OSError, ValueError, SafetensorError):  # Arrow's and JSON's errors are ValueErrors.
        return None


class Index:
    """`index.jsonl` in a folder of .npy files: a line for each one, with its rows and its record.

    A line is added when a file is finished; at the end of a job they are in the order of its inputs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.path = folder, folder / "index.jsonl"
        self.records: dict[str, Record] = {}

    def name(self, shard: Shard) -> str:
        """The name of a shard in the index: its output's path below the folder."""
        return shard.target.relative_to(self._folder).as_posix()

    def read(self) -> None:
        """Read the index of an earlier run. A line that a kill left incomplete is ignored."""
        if not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                record = json.loads(line)
                self.records[record.pop("file")] = record

    def add(self, shard: Shard, record: Record) -> None:
        """Add the line of a finished file."""
        self.records[self.name(shard)] = record
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self._line(self.name(shard)))

    def write(self, shards: Iterable[Shard]) -> None:
        """Write the lines of these shards alone, as far as they are finished, in this order."""
        names = [name for name in map(self.name, shards) if name in self.records]
        self._folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as file:
            file.write("".join(map(self._line, names)).encode())

    def _line(self, name: str) -> str:
        record = self.records[name]
        return json.dumps({"file": name, "rows": record["counts"]["texts"], **record}) + "\n"
