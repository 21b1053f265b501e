"""WebDataset archives: the files of one sample have one name and different extensions."""

import tarfile
from collections.abc import Iterator
from itertools import groupby

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.fingerprint import Fingerprint
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.places import BEGIN, Place, Raw
from cliptok.batch.reading.streams import Source, opened

KEY = "__key__"
"""The column to keep for a sample's name, as WebDataset calls it."""
ROWS = 1 << 13
_REST = 1 << 20
MAX_MEMBER_BYTES = 1 << 30
"""Bytes of a member that is read. A larger one is an error before anything is reserved for it."""


def read_tar(
    shard: Shard, column: str, keep: list[str], place: Place = BEGIN, fingerprint: Fingerprint | None = None
) -> Iterator[Raw]:
    """`column` is the extension of the captions, such as `txt`. A sample without one is null.

    Kept columns are `__key__`, and other extensions as bytes. The fingerprint is of a compressed archive's bytes; of
    another, whose other members are skipped, of the samples' names and what is read of them.
    """
    if keep == ["*"]:
        raise BadInputError(f"name the extensions to keep, or {KEY}; an archive does not list them")
    schema = pa.schema([(name, pa.string() if name == KEY else pa.binary()) for name in (column, *keep)])
    yield Raw(schema.empty_table(), 0, place)
    with opened(shard, place.offset, fingerprint if shard.compression else None) as source:
        rows: list[dict[str, str | bytes]] = []
        row = place.row
        for offset, sample in _samples(shard, source, {column, *keep}):
            if not rows:
                place = source.place(row, offset, 1)
            if fingerprint is not None and not shard.compression:
                fingerprint.update(repr(sorted(sample.items())).encode("utf-8", "surrogateescape"))
            rows.append(sample)
            if len(rows) == ROWS:
                yield Raw(pa.Table.from_pylist(rows, schema), source.position(), place)
                row += len(rows)
                rows = []
        yield Raw(pa.Table.from_pylist(rows, schema), source.position(), place)


def _samples(shard: Shard, source: Source, wanted: set[str]) -> Iterator[tuple[int, dict[str, str | bytes]]]:
    """Each sample, and the bytes of the archive before it."""
    # A file can be skipped over where the archive is not compressed.
    plain = source.stream is source.raw and source.raw.seekable()
    with tarfile.open(fileobj=source.stream, mode="r:" if plain else "r|", tarinfo=_Member) as archive:
        files = ((member, *_split(member.name)) for member in archive if member.isfile())
        for key, members in groupby(files, key=lambda file: file[1]):
            sample: dict[str, str | bytes] = {KEY: key}
            offset: int | None = None
            if KEY in wanted:
                _check_name(key)
            for member, _, extension in members:
                offset = member.offset if offset is None else offset
                if extension in sample:
                    raise BadInputError(f"{member.name} is there twice in one sample")
                if extension in wanted:
                    sample[extension] = _content(archive, member, shard.size if plain else None)
                archive.members = []  # type: ignore[attr-defined]  # tarfile would remember them all.
            yield offset or 0, sample
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
