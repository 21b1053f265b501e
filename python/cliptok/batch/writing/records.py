"""Which outputs an earlier run finished: by the record in each file, or for .npy files in the index beside them."""

import json
import math
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard
from zlib import crc32

from cliptok._common.errors import BadInputError
from cliptok._common.json_files import MAX_TEXT_BYTES
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.reader import Reading
from cliptok.batch.stores.paths import AnyPath, atomic, below
from cliptok.batch.stores.store_path import StorePath
from cliptok.batch.summary import Counts
from cliptok.batch.writing import arrow_output, lance_dataset, tar_output
from cliptok.batch.writing.checksums import is_intact
from cliptok.batch.writing.outputs import RECORD, Record
from cliptok.batch.writing.results import have_same_result

_SHA256 = re.compile("[0-9a-f]{64}")
_MOST = 1 << 63  # Of what is counted.


def find_finished(
    shard: Shard, settings: Record, reading: Reading, index: "Index | None", check: bool = False
) -> Record | None:
    """The output's record, if the output is complete and what these settings make of the input as it is now.

    With `check`, only if the output also has the checksum of its record, for which all of it is read.
    """
    found = None if shard.is_stream else _look(shard.target)
    if found is None:
        return None
    rows, record = found
    if index is not None:
        record = index.records.get(index.name(shard))
    if not _is_record(record) or not have_same_result(record["settings"], settings):
        return None
    if record["counts"]["texts"] != rows or (check and not _is_intact(shard.target, record["sha256"])):
        return None
    return record if _is_of(record["input"], shard, reading) else None


def _is_of(recorded: Any, shard: Shard, reading: Reading) -> bool:
    """Whether an output's record is of the input as it is now.

    What has the same name, size and time of change is the same. What has another name or time is read, and is the same
    if it has the same fingerprint, which records of 0.1.0 do not have.
    """
    now = shard.identity()
    if not isinstance(recorded, dict) or any(recorded.get(name) != now[name] for name in ("kind", "size")):
        return False
    if all(recorded.get(name) == now[name] for name in now):
        return True
    with suppress(BadInputError):  # Which reading it to make the output anew says.
        return bool(recorded.get("sha256")) and recorded["sha256"] == reading.fingerprint(shard)
    return False


def trouble_with(path: AnyPath, index: "Index | None") -> str | None:
    """What is wrong with an output, of which all is read; None where it is as it was written."""
    found = _look(path)
    if found is None:
        return "damaged: it cannot be read"
    rows, record = found
    if path.suffix == ".npy":
        record = index.records.get(below(index.folder, path)) if index is not None else None
    if not _is_record(record):
        return "without a sound record of how it was made"
    if record["counts"]["texts"] != rows:
        return f"damaged: it has {rows:,} rows where its record says {record['counts']['texts']:,}"
    try:
        return None if _is_intact(path, record["sha256"]) else "damaged: its content is not what was written"
    except OSError as error:
        return f"damaged: {error.strerror or error}"


def _is_record(record: Any) -> TypeGuard[Record]:
    """Whether something read from a file has the shape of a record."""
    if not isinstance(record, dict) or not isinstance(record.get("sha256"), str):
        return False
    if not _SHA256.fullmatch(record["sha256"]):
        return False
    counts = record.get("counts")
    return (
        isinstance(counts, dict)
        and {**Counts().as_dict(), **counts}.keys() == counts.keys()
        and all(type(count) is int and 0 <= count < _MOST for count in counts.values())
        and {"settings", "input"} <= record.keys()
    )


def _look(path: AnyPath) -> tuple[int, Record | None] | None:
    """(rows, record) from the footer or header of a file. None where it is damaged or missing."""
    if isinstance(path, Path) and lance_dataset.is_dataset(path):
        with suppress(Exception):  # As below.
            return lance_dataset.look(path)
        return None
    if not path.is_file():
        return None
    looks: dict[str, Callable[[BinaryIO, int], tuple[int, Record | None]]] = {
        ".parquet": _look_parquet,
        ".npy": _look_npy,
        ".safetensors": _look_safetensors,
        ".arrow": arrow_output.look,
        ".tar": tar_output.look,
    }
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            rows, record = looks[path.suffix](file, size)
            return (rows, record) if type(rows) is int else None
    except Exception:  # Whatever a damaged file does to one of the parsers, it is not finished.
        return None


def _is_intact(path: AnyPath, digest: str) -> bool:
    """Whether an output has the content of its checksum. Raises OSError where it cannot be read."""
    if isinstance(path, Path) and lance_dataset.is_dataset(path):
        return lance_dataset.is_whole(path, digest)
    return is_intact(path, digest)


def _look_parquet(file: BinaryIO, size: int) -> tuple[int, Record | None]:
    import pyarrow.parquet as pq

    footer = pq.read_metadata(file)
    text = (footer.metadata or {}).get(RECORD.encode())
    return footer.num_rows, None if text is None else json.loads(text)


def _look_npy(file: BinaryIO, size: int) -> tuple[int, Record | None]:
    import numpy as np

    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError("it is not as long as its header says")
    return shape[0], None


def _look_safetensors(file: BinaryIO, size: int) -> tuple[int, Record | None]:
    length = int.from_bytes(file.read(8), "little")
    if length > min(size, MAX_TEXT_BYTES):
        raise ValueError("its header is longer than one of ours")
    header = json.loads(file.read(length))
    text = header.pop("__metadata__", {}).get(RECORD)
    (rows,) = {tensor["shape"][0] for tensor in header.values()}
    if 8 + length + max(tensor["data_offsets"][1] for tensor in header.values()) != size:
        raise ValueError("it is not as long as its header says")
    return rows, None if text is None else json.loads(text)


class Index:
    """`index.jsonl` in a folder of .npy files: a line for each one, with its rows and its record.

    A line is added when a file is finished; at the end of a job they are in the order of its inputs.
    """

    def __init__(self, folder: AnyPath) -> None:
        self.folder, self.path = folder, folder / "index.jsonl"
        self.records: dict[str, Record] = {}

    def name(self, shard: Shard) -> str:
        """The name of a shard in the index: its output's path below the folder."""
        return below(self.folder, shard.target)

    def read(self) -> None:
        """Read the index of an earlier run. A line that a kill left incomplete is ignored."""
        if not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, RecursionError):
                found = _sound(line)
                if found is not None:
                    name, record = found
                    self.records[name] = record

    def add(self, shard: Shard, record: Record) -> None:
        """Add the line of a finished file."""
        self.records[self.name(shard)] = record
        if isinstance(self.path, StorePath):  # Nothing is added to an object.
            self._write(self.records)
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self._line(self.name(shard)))

    def write(self, shards: Iterable[Shard]) -> None:
        """Write the lines of these shards alone, as far as they are finished, in this order."""
        names = [name for name in map(self.name, shards) if name in self.records]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(names)

    def _write(self, names: Iterable[str]) -> None:
        with atomic(self.path) as file:
            file.write("".join(map(self._line, names)).encode())

    def _line(self, name: str) -> str:
        record = self.records[name]
        line = json.dumps({"file": name, "rows": record["counts"]["texts"], **record})
        return f"{line[:-1]}{_CRC32}{crc32(line.encode())}}}\n"


_CRC32 = ', "crc32": '
"""What a line ends with: the checksum of what stands before. Lines of 0.1.0 had none."""
_RECORD = {"settings", "input", "sha256", "counts"}


def _sound(line: str) -> tuple[str, Record] | None:
    """The file and the record of an index's line; None, or a ValueError, where it is not as it was written."""
    content, has_checksum, checksum = line.rpartition(_CRC32)
    content = f"{content}}}" if has_checksum else line
    if has_checksum and checksum != f"{crc32(content.encode())}}}":
        return None
    record = json.loads(content)
    name, rows = (record.pop("file", None), record.pop("rows", None)) if isinstance(record, dict) else (None, None)
    if not isinstance(name, str) or not _is_record(record) or rows != record["counts"]["texts"]:
        return None
    return (name, record) if has_checksum or record.keys() == _RECORD else None
