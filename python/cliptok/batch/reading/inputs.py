"""Which files a job reads, what kind each is, and where its output goes."""

import glob
import os
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from cliptok._common.errors import BadInputError

KINDS = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".tar": "tar",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
FORMATS = ("parquet", "npy", "safetensors")

STDIN = "-"

Paths = str | os.PathLike[str]


class Shard(NamedTuple):
    """One input file and the output file that comes of it."""

    source: Path
    kind: str
    compression: str | None
    target: Path
    size: int
    """Bytes of the input."""
    mtime_ns: int

    def identity(self) -> dict[str, Any]:
        """What tells whether the input is still the one that an output was made of."""
        return {"name": self.source.name, "size": self.size, "mtime_ns": self.mtime_ns}


def find(inputs: Paths | Iterable[Paths], out: Paths, format: str | None) -> tuple[list[Shard], str]:
    """The shards of a job in order, and the output's format.

    An input is a file, a folder (all files below it whose kind is known, but hidden ones) or a glob. `out` is a file if
    it ends in the suffix of a format, else a folder. Outputs keep the place of their input below the folder, or below
    what stands before the first wildcard of a glob.

    Raises BadInputError when there is no such file, a file's kind is unknown, two would have one output, an output
    would replace an input, or there are several and `out` is a file.
    """
    names = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    out = Path(out)
    named = out.suffix[1:] if out.suffix[1:] in FORMATS else None
    if named and format not in (None, named):
        raise BadInputError(f"{out} is a file for {named}, but the format is {format}")
    format = named or format or "parquet"
    if format not in FORMATS:
        raise BadInputError(f"format is {format!r}; choose one of {', '.join(FORMATS)}")
    found = [pair for name in names for pair in _expand(os.fspath(name), None if named else out)]
    if not found:
        raise BadInputError("there is no input file")
    if named:
        if len(found) > 1:
            raise BadInputError(f"{len(found)} input files need a folder for their outputs, and {out} is a file")
        shards = [as_shard(found[0][0], out)]
    elif found[0][0] == Path(STDIN):
        raise BadInputError(f"standard input needs a file to write, as in -o ids.{format}")
    else:
        shards = [as_shard(source, out / place.parent / f"{_stem(source)}.{format}") for source, place in found]
    _check(shards)
    return shards, format


def _expand(name: str, out: Path | None) -> Iterator[tuple[Path, Path]]:
    """(file, its place below the folder or glob) for all that `name` stands for, in order; nothing of the output's."""
    path = Path(name)
    if name == STDIN or path.is_file():
        yield path, Path(path.name)
        return
    if path.is_dir():
        root, found = path, sorted(path.rglob("*"))
        found = [file for file in found if kind_of(file) and not _is_hidden(file.relative_to(path))]
    elif glob.has_magic(name):
        root = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts[:-1]))
        found = sorted(Path(match) for match in glob.glob(name, recursive=True))  # noqa: PTH207
    else:
        raise BadInputError(f"{name}: no such file or folder")
    ours = out.resolve() if out is not None and root.resolve() in out.resolve().parents else None
    files = [file for file in found if file.is_file() and not (ours and file.resolve().is_relative_to(ours))]
    if not files:
        what = f"no file in it ends in {', '.join(KINDS)}" if path.is_dir() else "no file matches"
        raise BadInputError(f"{name}: {what}")
    yield from ((file, file.relative_to(root)) for file in files)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def kind_of(path: Path) -> tuple[str, str | None] | None:
    """What the name says: a kind and a compression, if any. None where it says nothing."""
    compression = COMPRESSIONS.get(path.suffix.lower())
    suffix = Path(path.stem).suffix if compression else path.suffix
    kind = KINDS.get(suffix.lower())
    return (kind, compression) if kind else None


def _stem(path: Path) -> str:
    return Path(path.stem).stem if path.suffix.lower() in COMPRESSIONS else path.stem


def as_shard(source: Path, target: Path) -> Shard:
    """The shard of one file, `-` for standard input. Raises BadInputError for a kind that cannot be read."""
    if source == Path(STDIN):
        return Shard(source, "txt", None, target, 0, 0)
    found = kind_of(source)
    if found is None:
        known = f"{', '.join(KINDS)}, or one of these and {', '.join(COMPRESSIONS)}"
        raise BadInputError(f"{source}: unknown kind of file; its name must end in {known}")
    kind, compression = found
    if kind == "parquet" and compression:
        raise BadInputError(f"{source}: a compressed Parquet file cannot be read in parts; unpack it first")
    status = source.stat()
    return Shard(source, kind, compression, target, status.st_size, status.st_mtime_ns)


def _check(shards: list[Shard]) -> None:
    by_target: dict[Path, Path] = {}
    sources = {shard.source.resolve() for shard in shards}
    for shard in shards:
        other = by_target.setdefault(shard.target, shard.source)
        if other is not shard.source:
            raise BadInputError(
                f"{other} and {shard.source} would both become {shard.target}; give the folder above them as input,"
                " or run them apart"
            )
        if shard.target.resolve() in sources:
            raise BadInputError(f"{shard.target} is an input too; choose another folder for the output")
