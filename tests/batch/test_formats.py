"""Every kind of input, and every format of output: ids equal to the tokenizer's own."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

import cliptok.batch.reading.lines as read_lines
from cliptok import Tokenizer
from cliptok.batch import tokenize_files
from support.made import TEXTS, csv, expected, ids_in, json_lines, packed, parquet, tar, text_file, tree

MAKERS = {
    "txt": text_file,
    "jsonl": json_lines,
    "ndjson": json_lines,
    "csv": csv,
    "tsv": partial(csv, comma="\t"),
    "tar": tar,
}


@pytest.mark.parametrize("compression", ["", "gz", "zst", "bz2", "xz"])
@pytest.mark.parametrize("kind", MAKERS)
def test_inputs(kind: str, compression: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.b.{kind}{compression and '.'}{compression}"
    path.write_bytes(packed(MAKERS[kind](TEXTS), compression))
    report = tokenize_files(path, tmp_path / "ids", column=None if kind in ("txt", "tar") else "caption")
    assert ids_in(tmp_path / "ids" / "a.b.parquet") == expected(TEXTS)
    tokens = sum(map(len, expected(TEXTS)))
    counts = report.counts
    assert (counts.rows, counts.texts, counts.tokens, counts.truncated, counts.empty) == (7, 7, tokens, 1, 1)
    assert (report.files, report.texts_now, report.finished_before) == (1, 7, 0)


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int8(), pa.string()),
    ],
    ids=str,
)
def test_parquet_columns(kind: pa.DataType, tmp_path: Path) -> None:
    try:
        path = parquet(tmp_path / "a.parquet", TEXTS * 30, kind, row_group_size=100)
    except pa.ArrowNotImplementedError as error:  # string_view before pyarrow 21
        pytest.skip(f"this pyarrow writes no such file: {error}")
    tokenize_files(path, tmp_path / "ids.parquet", column="caption")
    assert ids_in(tmp_path / "ids.parquet") == expected(TEXTS) * 30


@pytest.mark.parametrize("dtype", ["uint16", "int32", "int64"])
@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_outputs(format: str, dtype: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(text_file(TEXTS))
    tokenize_files(tmp_path / "a.txt", tmp_path / f"ids.{format}", max_length=9, dtype=dtype, lists="fixed")
    path, found = tmp_path / f"ids.{format}", None
    if format == "parquet":
        column = pq.read_table(path).column(0)
        assert column.type == pa.list_(pa.from_numpy_dtype(dtype), 9)
        found = np.array(column.to_pylist(), dtype)
    elif format == "npy":
        found = np.load(path, mmap_mode="r")
        assert isinstance(found, np.memmap)
    else:
        found = load_file(path)["input_ids"]
    assert found.dtype == dtype
    assert np.array_equal(found, Tokenizer().encode_batch(TEXTS, 9))


@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv", "tar", "parquet"])
@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_no_text_at_all(kind: str, format: str, tmp_path: Path) -> None:
    path, out = tmp_path / f"a.{kind}", tmp_path / f"ids.{format}"
    if kind == "parquet":
        parquet(path, [])
    else:
        path.write_bytes(MAKERS[kind]([]))
    if kind == "tar":
        with pytest.raises(ValueError, match="no sample has a file with the extension 'txt'"):
            tokenize_files(path, out)
        return
    assert tokenize_files(path, out, column=None if kind == "txt" else "caption").counts.texts == 0
    if format == "parquet":
        assert pq.read_table(out).schema.types == [pa.list_(pa.int32())]
    elif format == "npy":
        assert np.load(out).shape == (0, 77)
    else:
        assert load_file(out)["input_ids"].shape == (0, 77)


def test_columns_to_keep(tmp_path: Path) -> None:
    def kept(path: Path, keep: Any, column: str | None = "caption") -> dict[str, Any]:
        tokenize_files(path, tmp_path / "ids.parquet", column=column, keep=keep)
        table = pq.read_table(tmp_path / "ids.parquet")
        assert table.column("input_ids").to_pylist() == expected(TEXTS)
        return {name: table.column(name).to_pylist() for name in table.column_names[1:]}

    ids = list(range(7))
    path = parquet(tmp_path / "a.parquet", TEXTS)
    assert kept(path, ["id", "caption"]) == {"id": ids, "caption": TEXTS}
    assert kept(path, "*") == {"id": ids}
    (tmp_path / "a.csv").write_bytes(csv(TEXTS))
    assert kept(tmp_path / "a.csv", "*") == {"id": [f"{id:03}" for id in ids]}  # As it is written there.
    (tmp_path / "a.jsonl").write_bytes(json_lines(TEXTS))
    assert kept(tmp_path / "a.jsonl", ["more"]) == {"more": [{"a": [id]} for id in ids]}
    assert kept(tmp_path / "a.jsonl", "*") == {"id": ids, "more": [{"a": [id]} for id in ids]}
    (tmp_path / "a.tar").write_bytes(tar(TEXTS))
    pictures = [b"\xff\xd8" * id for id in ids]
    assert kept(tmp_path / "a.tar", ["__key__", "jpg"], None) == {
        "__key__": [f"data/{id:06}" for id in ids],
        "jpg": pictures,
    }
    (tmp_path / "a.txt").write_bytes(text_file(TEXTS))
    assert kept(tmp_path / "a.txt", ["text"], None) == {"text": TEXTS}


def test_a_folder_and_a_glob(tmp_path: Path) -> None:
    for name in ("x.txt", "b/x.txt", "b/y.csv", "b/.hidden/z.txt", "_logs/z.txt", "b/notes.md"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(csv(["a cat"]) if name.endswith("csv") else b"a cat\n")
    out = tmp_path / "data" / "ids"
    for _ in range(2):  # The second time its own outputs are there, and are no inputs.
        tokenize_files(tmp_path / "data", out, column="caption")
        assert sorted(tree(out)) == ["b/x.parquet", "b/y.parquet", "x.parquet"]
    tokenize_files(f"{tmp_path}/data/*/x.txt", tmp_path / "globbed")
    assert sorted(tree(tmp_path / "globbed")) == ["b/x.parquet"]
    tokenize_files([tmp_path / "data/x.txt"], tmp_path / "data")  # Beside the inputs.
    assert ids_in(tmp_path / "data/x.parquet") == expected(["a cat"])


def test_files_larger_than_a_table(tmp_path: Path) -> None:
    texts = [f"caption {number} of a cat" for number in range(150_000)]
    (tmp_path / "a.txt").write_bytes(text_file(texts))
    (tmp_path / "a.csv").write_bytes(csv(texts))
    (tmp_path / "a.jsonl").write_bytes(json_lines(texts))
    parquet(tmp_path / "a.parquet", texts, row_group_size=70_000)
    wanted = Tokenizer().encode_packed(texts)
    for kind in ("txt", "csv", "jsonl", "parquet"):
        tokenize_files(tmp_path / f"a.{kind}", tmp_path / "ids.parquet", column=None if kind == "txt" else "caption")
        file = pq.ParquetFile(tmp_path / "ids.parquet")
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [32768] * 4 + [18928], kind
        column = file.read().column(0).combine_chunks()
        assert np.array_equal(column.values.to_numpy(), wanted.input_ids)
        assert np.array_equal(column.offsets.to_numpy(), wanted.offsets)


def test_long_texts_come_in_small_tables(tmp_path: Path) -> None:
    texts = ["word " * 100_000, "a cat"] * 100
    parquet(tmp_path / "a.parquet", texts)
    (tmp_path / "a.txt").write_bytes(text_file(texts))
    for kind in ("parquet", "txt"):
        column = None if kind == "txt" else "caption"
        report = tokenize_files(tmp_path / f"a.{kind}", tmp_path / "ids.parquet", column=column)
        file = pq.ParquetFile(tmp_path / "ids.parquet")
        assert file.num_row_groups > 1
        assert ids_in(tmp_path / "ids.parquet") == expected(texts[:2]) * 100
        assert report.counts.truncated == 100


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20), max_size=20),
    st.booleans(),
    st.integers(1, 9),
)
def test_lines_in_blocks_of_any_size(lines: list[str], is_ended: bool, size: int) -> None:
    import io

    content = "\n".join(lines).encode() + (b"\n" if is_ended else b"")
    wanted = content.split(b"\n")[: -1 if content.endswith(b"\n") or not content else None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_lines, "BLOCK", size)
        found = [
            line
            for block, _ in read_lines.blocks_of_lines(io.BytesIO(content), 0)
            for line in read_lines._lines(block).to_pylist()
        ]
    assert found == wanted


def test_profiles_and_other_tokenizers(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(text_file(TEXTS))
    for profile in ("open_clip", "openai", "transformers-slow"):
        tok = Tokenizer(profile)
        tokenize_files(tmp_path / "a.txt", tmp_path / "ids.npy", tokenizer=tok, dtype="int64")
        assert np.array_equal(np.load(tmp_path / "ids.npy"), tok.encode_batch(TEXTS, truncate=True))
