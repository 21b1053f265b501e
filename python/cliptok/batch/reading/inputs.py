"""Which files a job reads, what kind each is, and where its output goes."""

import glob
import os
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from cliptok._common.errors import BadInputError
from cliptok._common.extras import need
from cliptok.batch.formats import COMPRESSIONS, FORMATS, KINDS
from cliptok.batch.reading.naming import naming
from cliptok.batch.stores.filesystems import WEB
from cliptok.batch.stores.paths import AnyPath, as_path, real
from cliptok.batch.stores.store_path import StorePath, StoreStatus
from cliptok.tokenizer.calls.options import check_path

STDIN = "-"

Paths = str | os.PathLike[str]


class Shard(NamedTuple):
    """One input file and the output file that comes of it."""

    source: AnyPath
    kind: str
    """One of INPUT_FORMATS, or empty for a stream whose first bytes must say."""
    compression: str | None
    target: AnyPath
    size: int
    """Bytes of the input."""
    mtime_ns: int
    tag: str | None = None
    """What a store calls the version of the content, which then counts instead of the time."""

    @property
    def is_stream(self) -> bool:
        """Whether it is standard input or another pipe, which is read once and has no size."""
        return str(self.source) == STDIN or (not self.size and not self.source.is_file())

    def identity(self) -> dict[str, Any]:
        """What tells, without reading it, whether the input is still the one that an output was made of."""
        version = {"mtime_ns": self.mtime_ns} if self.tag is None else {"tag": self.tag}
        return {"name": self.source.name, "kind": self.kind, "size": self.size, **version}

    def check_unchanged(self) -> None:
        """Raise BadInputError if the input is no longer what it was when the job looked for its inputs."""
        if str(self.source) == STDIN:
            return
        try:
            now = self.source.stat()
        except OSError as error:
            raise BadInputError(f"{self.source}: it went away while it was read: {error.strerror}") from error
        same = (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns) and getattr(now, "tag", None) == self.tag
        if not same and self.source.is_file():
            raise BadInputError(
                f"{self.source}: it changed while it was read, from {self.size:,} to {now.st_size:,} bytes, so nothing"
                " was made of it; run the job again when nobody writes to it"
            )


def find(
    inputs: Paths | Iterable[Paths],
    out: Paths,
    format: str | None,
    input_format: str | None = None,
    default: str = "parquet",
) -> tuple[list[Shard], str]:
    """The shards of a job in order, and the output's format, by default that of the name `out` or else `default`.

    An input is a file, a folder (all files below it whose kind is known, but hidden ones) or a glob. `out` is a file if
    it ends in the suffix of a format; a folder if it has no suffix, ends in a slash or is one. Outputs keep the place
    of their input below the folder, or below what stands before the first wildcard of a glob.

    Raises BadInputError when there is no such file, a file's kind is unknown, two would have one output, an output
    would replace an input, there are several and `out` is a file, or `out` has another ending.
    """
    named = _format_of(check_path("out", out, "a folder, or for one input a file"))
    place = as_path(out)
    if named and format not in (None, named):
        raise BadInputError(f"{place} is a file for {named}, but the format is {format}")
    format = named or format or default
    if format not in FORMATS:
        raise BadInputError(f"format is {format!r}; choose one of {', '.join(FORMATS)}")
    if format == "lance":
        need("the format lance", "lance")
        if isinstance(place, StorePath):
            raise BadInputError(f"{place}: Lance datasets are written to folders of this machine")
    found = list(expand(inputs, None if named else place))
    if named:
        if len(found) > 1:
            raise BadInputError(f"{len(found)} input files need a folder for their outputs, and {place} is a file")
        shards = [as_shard(found[0][0], place, input_format)]
    elif found[0][0] == Path(STDIN):
        raise BadInputError(f"standard input needs a file to write, as in -o ids.{format}")
    else:
        shards = [
            as_shard(source, place / str(below.parent) / f"{_stem(source)}.{format}", input_format)
            for source, below in found
        ]
    _check(shards)
    return shards, format


def _format_of(out: str) -> str | None:
    """The format of an output file; None for a folder."""
    path = as_path(out)
    is_folder = (path.url.path if isinstance(path, StorePath) else out).endswith(("/", os.sep))
    out = str(path) if isinstance(path, StorePath) else out
    suffix = path.suffix[1:]
    if suffix == "lance" and not is_folder:  # A folder by itself, that counts as a file.
        return suffix
    if is_folder or (isinstance(path, StorePath) and not suffix):
        return None
    if isinstance(path, StorePath) and suffix in FORMATS:
        return suffix
    with naming(path):
        is_folder, is_there = path.is_dir(), path.exists()
    if is_folder:
        if suffix in FORMATS:
            raise BadInputError(f"{out}: Is a directory; to write files into it, end its name in a slash")
        return None
    if suffix in FORMATS:
        return suffix
    endings = ", ".join(f".{format}" for format in FORMATS)
    if is_there:
        raise BadInputError(f"{out}: File exists, and is no folder; the name of an output file ends in {endings}")
    if suffix:
        raise BadInputError(
            f"{out} ends in .{suffix}; the name of an output file ends in {endings}, and that of a folder in a slash"
        )
    return None


def expand(inputs: Paths | Iterable[Paths], out: AnyPath | None) -> Iterator[tuple[AnyPath, PurePath]]:
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


def _expand(name: str, out: AnyPath | None) -> Iterator[tuple[AnyPath, PurePath]]:
    path = as_path(name)
    if isinstance(path, StorePath):
        yield from _expand_url(path, out)
        return
    with naming(path):  # Of a name that is too long, the system says so.
        is_folder, is_there = path.is_dir(), path.exists()
    if name == STDIN or (is_there and not is_folder):
        yield path, Path(path.name)
        return
    if is_folder:
        root, found = path, sorted(path.rglob("*"))
        found = [file for file in found if kind_of(file) and not _is_hidden(file.relative_to(path))]
    elif glob.has_magic(name):
        root = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts[:-1]))
        found = sorted(Path(match) for match in glob.glob(name, recursive=True))  # noqa: PTH207
    else:
        hint = ""
        if " " in name and not path.suffix:
            hint = "; inputs are names of files, and a text goes in by standard input"
        raise BadInputError(f"{name}: no such file or folder{hint}")
    ours = Path(os.path.realpath(out)) if isinstance(out, Path) and real(root) in real(out).parents else None
    files = [file for file in found if file.is_file() and not (ours and real(file).is_relative_to(ours))]
    if not files:
        raise _nothing_in(name, is_folder)
    yield from ((file, file.relative_to(root)) for file in files)


def _expand_url(path: StorePath, out: AnyPath | None) -> Iterator[tuple[AnyPath, PurePath]]:
    """The same for a URL, which has wildcards only where there is no object of just that name."""
    with naming(path):
        if path.is_file():
            yield path, PurePath(path.name)
            return
        is_folder = path.is_dir()
        if is_folder:
            root, found = path, list(path.rglob("*"))
            if not found:  # Some versions of pyarrow take what is not there for a folder.
                raise BadInputError("no such file or folder")
            found = [file for file in found if not _is_hidden(file.relative_to(path))]
        elif path.root() != path and path.url.scheme not in WEB:
            root, found = path.root(), path.matches()
        else:
            raise BadInputError("no such file or folder")
        files = [file for file in found if kind_of(file) or not is_folder]
        files = [file for file in files if not (out is not None and root != out and file.is_relative_to(out))]
    if not files:
        raise _nothing_in(str(path), is_folder)
    yield from ((file, file.relative_to(root)) for file in files)


def _nothing_in(name: str, is_folder: bool) -> BadInputError:
    what = f"no file in it ends in {', '.join(KINDS)}" if is_folder else "no file matches"
    return BadInputError(f"{name}: {what}")


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def kind_of(path: AnyPath) -> tuple[str, str | None] | None:
    """What the name says: a kind and a compression, if any. None where it says nothing."""
    compression = COMPRESSIONS.get(path.suffix.lower())
    suffix = PurePath(path.stem).suffix if compression else path.suffix
    kind = KINDS.get(suffix.lower())
    return (kind, compression) if kind else None


def _stem(path: AnyPath) -> str:
    return PurePath(path.stem).stem if path.suffix.lower() in COMPRESSIONS else path.stem


def as_shard(source: AnyPath, target: AnyPath, input_format: str | None = None) -> Shard:
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
    with naming(source):
        status = source.stat()
    tag = status.tag if isinstance(status, StoreStatus) else None
    size = 0 if is_stream else status.st_size  # macOS says what waits in a pipe.
    return Shard(source, kind, compression, target, size, status.st_mtime_ns, tag)


def _check_streamable(source: Paths | AnyPath, kind: str | None) -> None:
    if kind == "parquet":
        raise BadInputError(f"{source}: Parquet is read from its end, so not from a stream; name a file")


def _check(shards: list[Shard]) -> None:
    by_target: dict[AnyPath, AnyPath] = {}
    sources = {real(shard.source) for shard in shards}
    for shard in shards:
        other = by_target.setdefault(shard.target, shard.source)
        if other is not shard.source:
            raise BadInputError(
                f"{other} and {shard.source} would both become {shard.target}; give the folder above them as input,"
                " or run them apart"
            )
        if real(shard.target) in sources:
            raise BadInputError(f"{shard.target} is an input too; choose another folder for the output")
