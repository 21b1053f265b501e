"""WebDataset archives: the files of one sample have one name and different extensions."""

import tarfile
from collections.abc import Iterator
from itertools import groupby

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.streams import Source, opened

KEY = "__key__"
"""The column to keep for a sample's name, as WebDataset calls it."""
_ROWS = 1 << 13
_REST = 1 << 20
MAX_MEMBER_BYTES = 1 << 30
"""Bytes of a member that is read. A larger one is an error before anything is reserved for it."""


def read_tar(shard: Shard, column: str, keep: list[str]) -> Iterator[tuple[pa.Table, int]]:
    """`column` is the extension of the captions, such as `txt`. A sample without one is null.

    Kept columns are `__key__`, and other extensions as bytes.
    """
    if keep == ["*"]:
        raise BadInputError(f"name the extensions to keep, or {KEY}; an archive does not list them")
    schema = pa.schema([(name, pa.string() if name == KEY else pa.binary()) for name in (column, *keep)])
    yield schema.empty_table(), 0
    found_text = False
    with opened(shard) as source:
        rows: list[dict[str, str | bytes]] = []
        for sample in _samples(shard, source, {column, *keep}):
            found_text = found_text or column in sample
            rows.append(sample)
            if len(rows) == _ROWS:
                yield pa.Table.from_pylist(rows, schema), source.position()
                rows = []
        yield pa.Table.from_pylist(rows, schema), source.position()
        if not found_text:
            raise BadInputError(f"no sample has a file with the extension {column!r}")


def _samples(shard: Shard, source: Source, wanted: set[str]) -> Iterator[dict[str, str | bytes]]:
    # A file can be skipped over where the archive is not compressed.
    plain = source.stream is source.raw and source.raw.seekable()
    with tarfile.open(fileobj=source.stream, mode="r:" if plain else "r|", tarinfo=_Member) as archive:
        files = ((member, *_split(member.name)) for member in archive if member.isfile())
        for key, members in groupby(files, key=lambda file: file[1]):
            sample: dict[str, str | bytes] = {KEY: key}
            if KEY in wanted:
                _check_name(key)
            for member, _, extension in members:
                if extension in sample:
                    raise BadInputError(f"{member.name} is there twice in one sample")
                if extension in wanted:
                    sample[extension] = _content(archive, member, shard.size if plain else None)
                archive.members = []  # type: ignore[attr-defined]  # tarfile would remember them all.
            yield sample
    while not plain and source.stream.read(
        _REST
    ):  # Reading to the end of the stream verifies the compression's checksum.
        pass


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, size: int | None) -> bytes:
    """The bytes of a member, once its header is known to promise no more than there can be."""
    if member.issparse():
        raise BadInputError(f"{member.name!r} is a sparse file, which is not read; store it whole")
    most = MAX_MEMBER_BYTES if size is None else min(MAX_MEMBER_BYTES, size - member.offset_data)
    if not 0 <= member.size <= most:
        raise BadInputError(f"{member.name!r} is {member.size:,} bytes by its header; at most {most:,} can be read")
    content = archive.extractfile(member)
    assert content is not None  # It is a file.
    return content.read()


def _check_name(key: str) -> None:
    try:
        key.encode()
    except UnicodeEncodeError:
        raise BadInputError(f"the name of the sample {key!r} is not UTF-8, so it cannot be kept in {KEY}") from None


def _split(name: str) -> tuple[str, str]:
    """A sample's key and the file's extension: what stands before and after the first dot of the last part."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()


class _Member(tarfile.TarInfo):
    """A header that must be valid: tarfile itself takes a damaged one, or none, for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Member":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except (tarfile.HeaderError, ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
            raise tarfile.ReadError(f"after byte {archive.offset} there is no valid member: {error}") from error
