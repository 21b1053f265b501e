"""Footers of Parquet: any is read and written again as it was, and joined files are what pyarrow reads of each."""

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptok.batch.writing.joining import PartFile, join
from cliptok.batch.writing.parquet_footer import Footer
from cliptok.batch.writing.thrift_compact import (
    BINARY,
    BYTE,
    DOUBLE,
    FALSE,
    I16,
    I32,
    I64,
    LIST,
    STRUCT,
    TRUE,
    read_struct,
    write_struct,
)

NESTED = pa.table(
    {
        "a": [1, 2, None],
        "b": [["x"], None, ["y", "z"]],
        "c": [{"p": 1.5, "q": [True, None]}, None, {"p": 2.0, "q": []}],
        "d": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32())),
        "e": pa.array(["u", "v", "u"]).dictionary_encode(),
        "f": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32(), 2)),
        "g.h": pa.array([b"", b"\xff", None]),
    }
)
FLAT = pa.table({"input_ids": pa.array([[1, 2], [], [3]], pa.list_(pa.int32()))})
WIDE = pa.table({f"column {number}": [number] * 3 for number in range(300)})

SCALARS: dict[int, st.SearchStrategy[Any]] = {
    BYTE: st.integers(0, 255),
    I16: st.integers(-(1 << 15), (1 << 15) - 1),
    I32: st.integers(-(1 << 31), (1 << 31) - 1),
    I64: st.integers(-(1 << 63), (1 << 63) - 1),
    DOUBLE: st.floats(allow_nan=False),
    BINARY: st.binary(max_size=200),
}
FIELDS = st.one_of(*(st.tuples(st.just(kind), values) for kind, values in SCALARS.items()))
FLAGS = st.sampled_from([(TRUE, None), (FALSE, None)])
LISTS = st.sampled_from(sorted(SCALARS)).flatmap(
    lambda kind: st.tuples(st.just(LIST), st.tuples(st.just(kind), st.lists(SCALARS[kind], max_size=20)))
)
STRUCTS: Any = st.recursive(
    st.dictionaries(st.integers(1, 40), FIELDS | FLAGS | LISTS, max_size=5).map(lambda d: dict(sorted(d.items()))),
    lambda inner: st.dictionaries(
        st.integers(1, 40),
        FIELDS
        | st.tuples(st.just(STRUCT), inner)
        | st.tuples(st.just(LIST), st.tuples(st.just(STRUCT), st.lists(inner))),
        max_size=4,
    ).map(lambda d: dict(sorted(d.items()))),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(STRUCTS)
def test_any_struct(value: Any) -> None:
    assert read_struct(write_struct(value)) == value


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_struct(data: bytes) -> None:
    with suppress(ValueError):
        read_struct(data)


def file_of(table: pa.Table, path: Path, number: int, **options: Any) -> PartFile:
    with pq.ParquetWriter(path, table.schema, write_page_checksum=True, **options) as writer:
        for rows in (table.slice(number % 3), table.slice(0, 0), table):
            writer.write_table(rows)
        writer.add_key_value_metadata({"cliptok": f"record {number}", "other": "kept"})
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"what stands behind a part")
    return PartFile(path, size)


@pytest.mark.parametrize("table", [NESTED, FLAT, WIDE], ids=["nested", "flat", "wide"])
@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd", "write_statistics": False},
        {"compression": "none", "use_dictionary": False, "data_page_version": "2.0"},
        {"compression": "snappy", "version": "1.0"},
    ],
)
def test_joined(table: pa.Table, options: dict[str, Any], tmp_path: Path) -> None:
    parts = [file_of(table, tmp_path / f"{number}.part", number, **options) for number in range(4)]
    for path, size, _ in parts:
        with path.open("rb") as file:
            footer = Footer.read(file, size)
            file.seek(footer.start)
            assert write_struct(footer.fields) == file.read(size - 8 - footer.start)
    with (tmp_path / "joined.parquet").open("w+b") as file:
        join("parquet", parts, file, {"a": "record"})
    wanted = pa.concat_tables(pq.read_table(pa.py_buffer(path.read_bytes()[:size])) for path, size, _ in parts)
    found = pq.read_table(tmp_path / "joined.parquet")
    found.validate(full=True)
    assert found.equals(wanted)
    metadata = pq.read_metadata(tmp_path / "joined.parquet")
    assert metadata.metadata[b"cliptok"] == b'{"a": "record"}'
    assert metadata.metadata[b"other"] == b"kept"
    assert metadata.num_rows == len(wanted)
    assert metadata.num_row_groups == 8  # None of those without rows.
    file = pq.ParquetFile(tmp_path / "joined.parquet", page_checksum_verification=True)
    assert file.read_row_group(7).equals(table)


def test_one_without_rows(tmp_path: Path) -> None:
    parts = [file_of(FLAT.slice(0, 0), tmp_path / f"{number}.part", number) for number in range(2)]
    with (tmp_path / "joined.parquet").open("w+b") as file:
        join("parquet", parts, file, {})
    assert pq.read_table(tmp_path / "joined.parquet").equals(FLAT.slice(0, 0))


def test_no_parquet(tmp_path: Path) -> None:
    for content in (b"", b"PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b"x" * 100):
        with pytest.raises(ValueError, match="footer"):
            Footer.read(io.BytesIO(content), len(content))
    path = tmp_path / "a.parquet"
    pq.write_table(FLAT, path, write_page_index=True)
    with (tmp_path / "joined.parquet").open("w+b") as file, pytest.raises(ValueError, match="page index"):
        join("parquet", [PartFile(path, path.stat().st_size)], file, {})
