"""Outputs as Lance datasets: folders, made of the parts of an output, which are Arrow files. Needs the extra `lance`.

The record is in the dataset's own configuration. Lance gives its files random names, so a dataset that is made again
has the same rows and not the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cliptok.batch.writing.joining import PartFile, arrow_readers
from cliptok.batch.writing.outputs import RECORD, Record

SUFFIX = ".lance"
_BLOCK = 1 << 22


def is_dataset(path: Any) -> bool:
    """Whether a path is of a dataset, rather than a file."""
    return isinstance(path, Path) and path.suffix == SUFFIX and path.is_dir()


def write_dataset(parts: Sequence[PartFile], scratch: Path, target: Path, record: Record) -> str:
    """Make a dataset with the rows of all parts, in this order, and return its checksum, which is in the record too.

    It is complete before it gets its name. Raises OSError.
    """
    import lance

    made = scratch / f"joined{SUFFIX}"
    shutil.rmtree(made, ignore_errors=True)
    schema = next(arrow_readers(parts)).schema.remove_metadata()

    def batches() -> Iterator[pa.RecordBatch]:
        for reader in arrow_readers(parts):
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number).replace_schema_metadata(None)

    dataset = lance.write_dataset(pa.RecordBatchReader.from_batches(schema, batches()), str(made))
    digest = _digest(dataset, made)
    dataset.update_config({RECORD: json.dumps({**record, "sha256": digest})})
    for path in made.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)
    return digest


def look(path: Path) -> tuple[int, Record | None]:
    """(rows, record). Raises whatever Lance does for a dataset that is damaged."""
    import lance

    dataset = lance.dataset(str(path))
    text = dataset.config().get(RECORD)
    return dataset.count_rows(), None if text is None else json.loads(text)


def is_whole(path: Path, digest: str) -> bool:
    """Whether a dataset's files have the content of which this is the checksum. Raises OSError."""
    import lance

    return _digest(lance.dataset(str(path)), path) == digest


def _digest(dataset: Any, folder: Path) -> str:
    """The SHA-256 of the files with the rows, in the order of the rows."""
    found = hashlib.sha256()
    for fragment in dataset.get_fragments():
        for data in fragment.data_files():
            with (folder / "data" / data.path).open("rb") as file:
                while block := file.read(_BLOCK):
                    found.update(block)
    return found.hexdigest()
