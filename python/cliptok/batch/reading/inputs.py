"""Which files a job reads, what kind each is, and where its output goes."""

import glob
import os
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from cliptok._common.errors import BadInputError
from cliptok.batch.formats import COMPRESSIONS, FORMATS, KINDS
from cliptok.tokenizer.calls.options import check_path

STDIN = "-"

Paths = str | os.PathLike[str]


class Shard(NamedTuple):
    """One input file and the output file that comes of it."""

    source: Path
    kind: str
    """One of INPUT_FORMATS, or empty for a stream whose first bytes must say."""
    compression: str | None
    target: Path
    size: int
    """Bytes of the input."""
    mtime_ns: int

    @property
    def is_stream(self) -> bool:
        """Whether it is standard input or another pipe, which is read once and has no size."""
        return str(self.source) == STDIN or not self.source.is_file()

    def identity(self) -> dict[str, Any]:
        """What tells, without reading it, whether the input is still the one that an output was made of."""
        return {"name": self.source.name, "kind": self.kind, "size": self.size, "mtime_ns": self.mtime_ns}

    def check_unchanged(self) -> None:
        """Raise BadInputError if the input is no longer what it was when the job looked for its inputs."""
        if str(self.source) == STDIN:
            return
        try:
            now = self.source.stat()
        except OSError as error:
            raise BadInputError(f"{self.source}: it went away while it was read: {error.strerror}") from error
        if (now.st_size, now.st_mtime_ns) != (self.size, self.mtime_ns) and self.source.is_file():
            raise BadInputError(
                f"{self.source}: it changed while it was read, from {self.size:,} to {now.st_size:,} bytes, so nothing"
                " was made of it; run the job again when nobody writes to it"
            )


def find(
    inputs: Paths | Iterable[Paths], out: Paths, format: str | None, input_format: str | None = None
) -> tuple[list[Shard], str]:
    """The shards of a job in order, and the output's format.

    An input is a file, a folder (all files below it whose kind is known, but hidden ones) or a glob. `out` is a file if
    it ends in the suffix of a format; a folder if it has no suffix, ends in a slash or is one. Outputs keep the place
    of their input below the folder, or below what stands before the first wildcard of a glob.

    Raises BadInputError when there is no such file, a file's kind is unknown, two would have one output, an output
    would replace an input, there are several and `out` is a file, or `out` has another ending.
    """
    named = _format_of(check_path("out", out, "a folder, or for one input a file"))
    out = Path(out)
    if named and format not in (None, named):
        raise BadInputError(f"{out} is a file for {named}, but the format is {format}")
    format = named or format or "parquet"
    if format not in FORMATS:
        raise BadInputError(f"format is {format!r}; choose one of {', '.join(FORMATS)}")
    found = list(expand(inputs, None if named else out))
    if named:
        if len(found) > 1:
            raise BadInputError(f"{len(found)} input files need a folder for their outputs, and {out} is a file")
        shards = [as_shard(found[0][0], out, input_format)]
    elif found[0][0] == Path(STDIN):
        raise BadInputError(f"standard input needs a file to write, as in -o ids.{format}")
    else:
        places = ((source, out / place.parent / f"{_stem(source)}.{format}") for source, place in found)
        shards = [as_shard(source, target, input_format) for source, target in places]
    _check(shards)
    return shards, format


def _format_of(out: str) -> str | None:
    """The format of an output file; None for a folder."""
    path = Path(out)
    suffix = path.suffix[1:]
    if out.endswith(("/", os.sep)) or path.is_dir():
        if suffix in FORMATS and not out.endswith(("/", os.sep)):
            raise BadInputError(f"{out}: Is a directory; to write files into it, end its name in a slash")
        return None
    if suffix in FORMATS:
        return suffix
    endings = ", ".join(f".{format}" for format in FORMATS)
    if path.exists():
        raise BadInputError(f"{out}: File exists, and is no folder; the name of an output file ends in {endings}")
    if suffix:
        raise BadInputError(
            f"{out} ends in .{suffix}; the name of an output file ends in {endings}, and that of a folder in a slash"
        )
    return None


def expand(inputs: Paths | Iterable[Paths], out: Path | None) -> Iterator[tuple[Path, Path]]:
    """(file, its place below the folder or glob) for all inputs, in order; nothing below the folder `out`.

    Raises BadInputError where there is none.
    """
    given: Any = inputs
    if not isinstance(given, (str, os.PathLike)) and (not isinstance(given, Iterable) or hasattr(given, "columns")):
        what = "None" if given is None else f"of type {type(given).__name__}"
        raise TypeError(f"inputs is {what}; expected a path or several: files, folders or globs")
    names = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    if not names:
        raise BadInputError("there is no input file")
    for number, name in enumerate(names):
        yield from _expand(check_path("inputs" if name is inputs else f"inputs[{number}]", name, "a path"), out)


def _expand(name: str, out: Path | None) -> Iterator[tuple[Path, Path]]:
    path = Path(name)
    if name == STDIN or (path.exists() and not path.is_dir()):
        yield path, Path(path.name)
        return
    if path.is_dir():
        root, found = path, sorted(path.rglob("*"))
        found = [file for file in found if kind_of(file) and not _is_hidden(file.relative_to(path))]
    elif glob.has_magic(name):
        root = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts[:-1]))
        found = sorted(Path(match) for match in glob.glob(name, recursive=True))  # noqa: PTH207
    else:
        hint = ""
        if "://" in name:
            hint = "; only files of this machine are read"
        elif " " in name and not path.suffix:
            hint = "; inputs are names of files, and a text goes in by standard input"
        raise BadInputError(f"{name}: no such file or folder{hint}")
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


def as_shard(source: Path, target: Path, input_format: str | None = None) -> Shard:
    """The shard of one file, `-` for standard input. Raises BadInputError for a kind that cannot be read."""
    if source == Path(STDIN):
        _check_streamable(STDIN, input_format)
        return Shard(source, input_format or "", None, target, 0, 0)
    is_stream = not source.is_file()
    found = kind_of(source)
    if found is None and input_format is None and not is_stream:
        known = f"{', '.join(KINDS)}, or one of these and {', '.join(COMPRESSIONS)}"
        hint = " (jsonl where each line is an object)" if source.suffix == ".json" else ""
        raise BadInputError(
            f"{source}: unknown kind of file; its name must end in {known}, or pass --input-format{hint}"
        )
    kind, compression = found or ("", COMPRESSIONS.get(source.suffix.lower()))
    kind = input_format or kind
    if is_stream:
        _check_streamable(source, kind)
    if kind == "parquet" and compression:
        raise BadInputError(f"{source}: a compressed Parquet file cannot be read in parts; unpack it first")
    status = source.stat()
    return Shard(source, kind, compression, target, status.st_size, status.st_mtime_ns)


def _check_streamable(source: Paths, kind: str | None) -> None:
    if kind == "parquet":
        raise BadInputError(f"{source}: Parquet is read from its end, so not from a stream; name a file")


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
