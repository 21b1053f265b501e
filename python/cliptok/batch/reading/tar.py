"""WebDataset archives: the files of one sample have one name and different extensions."""

import tarfile
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.fingerprint import Fingerprint
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.places import BEGIN, Place, Raw
from cliptok.batch.reading.sample_fields import KEY, Sample, SampleField
from cliptok.batch.reading.streams import Source, opened

MEMBERS = "__members__"
"""The column with all other files of a sample, by extension, for an output that has samples too."""
_MEMBERS_TYPE = pa.map_(pa.string(), pa.binary())
ROWS = 1 << 13
_BYTES = 1 << 25
_REST = 1 << 20
MAX_MEMBER_BYTES = 1 << 30
"""Bytes of a member that is read. A larger one is an error before anything is reserved for it."""


def read_tar(
    shard: Shard,
    column: str,
    keep: list[str],
    lists: bool = False,
    samples: bool = False,
    place: Place = BEGIN,
    fingerprint: Fingerprint | None = None,
) -> Iterator[Raw]:
    """`column` is the extension of the captions, such as `txt`, or a field of JSON files, such as `json.caption`.

    A sample without one is null. With `lists` the field has lists of captions. Kept columns are `__key__`, other
    extensions as bytes and fields as text. With `samples` a `*` to keep is the column MEMBERS. The fingerprint is of a
    compressed archive's bytes; of another, whose other files are skipped, of the samples' names and what is read.
    """
    if keep == ["*"] and not samples:
        raise BadInputError(f"name the extensions to keep, or {KEY}; an archive does not list them")
    caption = SampleField.of(column)
    if lists and not caption.path:
        raise BadInputError(f"captions is for lists in fields of JSON files, as in json.captions; {column!r} is none")
    takes_all = "*" in keep
    names = list(dict.fromkeys([*(name for name in keep if name != "*"), *([KEY] if samples else [])]))
    others = [SampleField.of(name) for name in names if name != KEY]
    wanted = {one for field in (caption, *others) for one in (field.name, field.extension)} | {*names} & {KEY}
    text = pa.list_(pa.binary()) if lists else pa.binary()
    schema = pa.schema([(column, text), *((name, _kept_type(name)) for name in names)])
    if takes_all:
        schema = schema.append(pa.field(MEMBERS, _MEMBERS_TYPE))
    yield Raw(schema.empty_table(), place.offset, place)
    with opened(shard, place.offset, fingerprint if shard.compression else None) as source:
        rows: list[dict[str, Any]] = []
        first, size = place.row, 0
        for sample, offset in _samples(shard, source, None if takes_all else wanted):
            if not rows:
                place = source.place(first, offset, 1)
            if fingerprint is not None and not shard.compression:
                read = (sample.key, sorted(sample.files.items()))
                fingerprint.update(repr(read).encode("utf-8", "surrogateescape"))
            row: dict[str, Any] = {column: caption.text(sample, lists), KEY: sample.key}
            row |= {field.name: field.kept(sample) for field in others}
            if takes_all:
                row[MEMBERS] = list(sample.files.items())
            rows.append(row)
            size += sum(map(len, sample.files.values()))
            if len(rows) == ROWS or size >= _BYTES:
                yield Raw(pa.Table.from_pylist(rows, schema), source.position(), place)
                first += len(rows)
                rows, size = [], 0
        yield Raw(pa.Table.from_pylist(rows, schema), source.position(), place)


def _kept_type(name: str) -> pa.DataType:
    return pa.string() if name == KEY or SampleField.of(name).path else pa.binary()


def _samples(shard: Shard, source: Source, wanted: set[str] | None) -> Iterator[tuple[Sample, int]]:
    """The samples with the wanted files, or all, and KEY for one whose name is kept; and the bytes before each."""
    # A file can be skipped over where the archive is not compressed.
    plain = source.stream is source.raw and source.raw.seekable()
    with tarfile.open(fileobj=source.stream, mode="r:" if plain else "r|", tarinfo=_Member) as archive:
        files = ((member, *_split(member.name)) for member in archive if member.isfile())
        for key, members in groupby(files, key=lambda file: file[1]):
            sample = Sample(key)
            offset: int | None = None
            if wanted is None or KEY in wanted:
                _check_name(key)
            for member, _, extension in members:
                offset = member.offset if offset is None else offset
                if extension in sample.files:
                    raise BadInputError(f"{member.name} is there twice in one sample")
                if wanted is None or extension in wanted:
                    sample.files[extension] = _content(archive, member, shard.size if plain else None)
                archive.members = []  # type: ignore[attr-defined]  # tarfile would remember them all.
            yield sample, offset or 0
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
    # As `extractfile` reads, without the two file objects that it makes for that.
    file: Any = archive.fileobj
    file.seek(member.offset_data)
    content: bytes = file.read(member.size)
    if len(content) < member.size:
        raise tarfile.ReadError("unexpected end of data")
    return content


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
