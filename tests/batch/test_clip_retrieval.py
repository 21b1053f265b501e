"""The folders for clip-retrieval and autofaiss, read by the rules of their reader, embedding_reader."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cliptok.batch import BadInputError, check_outputs, embed_files
from support.made import TEXTS, parquet, tar, tree


def embeddings(folder: Path) -> tuple[Any, dict[str, list[Any]]]:
    """All rows and their metadata, as `embedding_reader.EmbeddingReader(file_format="parquet_npy")` finds them."""
    rows, metadata = [], []
    arrays, tables = sorted(folder.glob("text_emb/**/*.npy")), sorted(folder.glob("metadata/**/*.parquet"))
    for path, beside in zip(arrays, tables, strict=True):
        content = path.read_bytes()
        line = content[:300].split(b"\n")[0]
        shape = re.search(r"'shape': \(([0-9]+), ([0-9]+)\)", str(line))
        dtype = re.search(r"'descr': '([<f0-9]+)'", str(line))
        assert shape is not None and dtype is not None
        values = np.frombuffer(content[len(line) + 1 :], dtype[1])
        rows.append(values.reshape(int(shape[1]), int(shape[2])))
        metadata.append(pq.read_table(beside).to_pydict())
    return np.concatenate(rows), {name: [value for one in metadata for value in one[name]] for name in metadata[0]}


def test_what_they_read(model: Path, tmp_path: Path) -> None:
    inputs = [parquet(tmp_path / f"{number:02}.parquet", [f"{number} cats", *TEXTS]) for number in range(11)]
    out = tmp_path / "out"
    run = {"model": model, "column": "caption", "keep": "id"}
    report = embed_files(inputs, out, format="clip-retrieval", **run)  # type: ignore[arg-type]
    assert (report.files, report.counts.texts) == (11, 88)
    names = sorted(tree(out))
    assert names[1:3] == ["metadata/metadata_00.parquet", "metadata/metadata_01.parquet"]
    assert names[-1] == "text_emb/text_emb_10.npy" and len(names) == 23
    values, metadata = embeddings(out)
    assert metadata["id"] == [*range(8)] * 11 and metadata["caption"][:2] == ["0 cats", TEXTS[0]]
    embed_files(inputs[10], tmp_path / "o.npy", model=model, column="caption")
    assert np.array_equal(values[80:], np.load(tmp_path / "o.npy"))
    again = embed_files(inputs, out, format="clip-retrieval", resume=True, **run)  # type: ignore[arg-type]
    assert (again.finished_before, again.texts_now, check_outputs(out)) == (11, 0, [])
    whole = tree(out)
    (out / "metadata" / "metadata_03.parquet").write_bytes(b"")
    (out / "text_emb" / "text_emb_04.npy").unlink()
    again = embed_files(inputs, out, format="clip-retrieval", resume=True, **run)  # type: ignore[arg-type]
    assert again.finished_before == 10 and tree(out) == whole
    # Numbers of one digit would be read among those of two.
    with pytest.raises(BadInputError, match=r"metadata_00\.parquet|text_emb_00\.npy is of another job"):
        embed_files(inputs[:2], out, format="clip-retrieval", **run)  # type: ignore[arg-type]


def test_one_archive(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar([TEXTS[0], None, TEXTS[2]]))
    embed_files(
        tmp_path / "a.tar", tmp_path / "out", model=model, format="clip-retrieval", keep="__key__", on_null="skip"
    )
    assert sorted(tree(tmp_path / "out")) == ["index.jsonl", "metadata/metadata_0.parquet", "text_emb/text_emb_0.npy"]
    values, metadata = embeddings(tmp_path / "out")
    assert len(values) == 2 and metadata == {"caption": [TEXTS[0], TEXTS[2]], "__key__": ["data/000000", "data/000002"]}


def test_what_is_wrong(model: Path, tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", TEXTS)
    pq.write_table(pq.read_table(path).rename_columns(["caption", "text"]), tmp_path / "b.parquet")
    for source, options, message in (
        (path, {"column": "caption", "output": "hidden"}, "'hidden' give states"),
        (tmp_path / "b.parquet", {"column": "text", "keep": "caption"}, "another one of that name"),
    ):
        with pytest.raises(ValueError, match=message):
            embed_files(source, tmp_path / "out", model=model, format="clip-retrieval", **options)  # type: ignore[arg-type]
    embed_files(path, tmp_path / "o", model=model, format="clip-retrieval", column="caption", keep="caption")
    assert pq.read_table(tmp_path / "o/metadata/metadata_0.parquet").column_names == ["caption"]
    report = embed_files(path, tmp_path / "dry", model=model, format="clip-retrieval", column="caption", dry_run=True)
    assert [Path(output.output).name for output in report.outputs] == ["text_emb_0.npy", "metadata_0.parquet"]
