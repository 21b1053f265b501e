"""Outputs as Arrow IPC and as WebDataset archives: equal to the tokenizer's ids, deterministic, resumed and checked."""

import io
import json
import random
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load
from webdataset.autodecode import Decoder, basichandlers
from webdataset.tariterators import group_by_keys, tar_file_expander

from cliptok import Tokenizer
from cliptok.batch import BadInputError, check_outputs, tokenize_files
from cliptok.batch.writing.tar_output import _Headers
from support.made import TEXTS, expected, parquet, tar, text_file, tree
from support.scripts import names_in


def samples(path: Path) -> list[dict[str, Any]]:
    """The samples of an archive as WebDataset reads them."""
    with path.open("rb") as file:
        found = list(group_by_keys(tar_file_expander([{"url": path.name, "stream": file}])))
    return [
        {name: value for name, value in sample.items() if name not in ("__local_path__", "__url__")} for sample in found
    ]


def array(content: bytes) -> Any:
    return np.load(io.BytesIO(content))


@pytest.mark.parametrize("lists", ["variable", "fixed"])
def test_arrow(lists: Any, tmp_path: Path) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 17_000), pa.array(["x", "y"]))
    texts = [f"{number} cats" for number in range(34_000)]
    pq.write_table(pa.table({"caption": texts, "id": range(34_000), "word": words}), tmp_path / "a.parquet")
    out = tmp_path / "out"
    tokenize_files(tmp_path / "a.parquet", out, column="caption", format="arrow", lists=lists, keep="*", max_length=9)
    with pa.memory_map(str(out / "a.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
        assert table.schema.types == [pa.list_(pa.int32(), *[9][: lists == "fixed"]), pa.int64(), pa.string()]
        assert table.column("id").to_pylist() == list(range(34_000))
        assert table.column("word").to_pylist() == words.to_pylist()
        wanted = expected(texts, 9) if lists == "variable" else Tokenizer().encode_batch(texts, 9).tolist()
        assert table.column("input_ids").to_pylist() == wanted
    tokenize_files(out / "a.arrow", tmp_path / "again.parquet", column="word")  # It is an input too.


@pytest.mark.parametrize("members", ["npy", "safetensors"])
def test_samples_beside_their_other_files(members: Any, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(TEXTS, cls=b"7"))
    tokenize_files(tmp_path / "a.tar", tmp_path / "out" / "a.tar", keep="*", members=members)
    found = samples(tmp_path / "out" / "a.tar")
    assert [sample["__key__"] for sample in found] == [f"data/{number:06}" for number in range(7)]
    assert [sample["jpg"] for sample in found] == [b"\xff\xd8" * number for number in range(7)]
    assert [sample["txt"].decode() for sample in found] == TEXTS and all(sample["cls"] == b"7" for sample in found)
    if members == "npy":
        ids = [array(sample["input_ids.npy"]) for sample in found]
    else:
        ids = [load(sample["safetensors"])["input_ids"] for sample in found]
    assert [row.tolist() for row in ids] == expected(TEXTS) and ids[0].dtype == np.int32
    tokenize_files(tmp_path / "a.tar", tmp_path / "some" / "a.tar", keep=["cls"])
    some = samples(tmp_path / "some" / "a.tar")
    assert all(set(sample) == {"__key__", "cls", "input_ids.npy"} for sample in some)
    decode = Decoder([basichandlers])
    assert [decode(sample)["input_ids.npy"].tolist() for sample in some] == expected(TEXTS)


def test_rows_as_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table(
            {
                "caption": ["a cat", None, "dog"],
                "jpg": [b"1", b"2", None],
                "url": ["http://ü", "b", None],
                "size": [{"w": 1}, {"w": 2}, None],
                "box": pa.array([[1.5, 2.0], [3.0, 4.0], None], pa.list_(pa.float32())),
                "__key__": ["x/a", "x/b", "ü"],
            }
        ),
        path,
    )
    tokenize_files(
        tmp_path / "a.parquet", tmp_path / "o.tar", column="caption", keep="*", on_null="skip", lists="fixed"
    )
    first, second = samples(tmp_path / "o.tar")
    assert (first["__key__"], second["__key__"]) == ("x/a", "ü")
    assert (first["jpg"], first["url.txt"].decode(), json.loads(first["size.json"])) == (b"1", "http://ü", {"w": 1})
    assert array(first["box.npy"]).tolist() == [1.5, 2.0] and array(first["input_ids.npy"]).shape == (77,)
    assert {"jpg", "url.txt", "size.json", "box.npy"}.isdisjoint(second)
    (tmp_path / "a.txt").write_bytes(text_file(TEXTS))
    tokenize_files(tmp_path / "a.txt", tmp_path / "o.tar")
    assert [one["__key__"] for one in samples(tmp_path / "o.tar")] == [f"{number:09}" for number in range(1, 8)]
    for key, message in (("a.b", "'a.b' in __key__ cannot be the name"), ("", "'' in __key__"), ("same", "two rows")):
        pq.write_table(pa.table({"caption": ["a", "b"], "__key__": [key, key]}), tmp_path / "a.parquet")
        with pytest.raises(BadInputError, match=message):
            tokenize_files(tmp_path / "a.parquet", tmp_path / "o.tar", column="caption", keep="__key__")
    pq.write_table(pa.table({"caption": ["a"], "URL": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(BadInputError, match="'URL' cannot be an extension"):
        tokenize_files(tmp_path / "a.parquet", tmp_path / "o.tar", column="caption", keep="URL")
    assert names_in(tmp_path) == ["a.parquet", "a.txt", "o.tar"]
    for options, message in (
        ({"format": "npy", "members": "npy"}, "members is for tar; npy has none"),
        ({"format": "tar", "members": "pt"}, "members is 'pt'; choose one of npy, safetensors"),
        ({"format": "tar", "captions": "all"}, "one of each"),
        ({"format": "npy", "keep": "x"}, "keep needs Parquet, Arrow, Lance or tar"),
    ):
        with pytest.raises(ValueError, match=message):
            tokenize_files(tmp_path / "a.parquet", tmp_path / "out", column="caption", **options)


def test_headers_are_those_of_tarfile() -> None:
    headers = _Headers()
    for name in ("a.npy", "x/" * 40 + "a.npy", "n" * 100, "n" * 101, "ü.npy"):
        for size in (0, 1, 77, 1 << 20, 1 << 33):
            member = tarfile.TarInfo(name)
            member.size = size
            assert headers(name, size) == member.tobuf(tarfile.PAX_FORMAT)


def test_an_archive_has_no_time_and_no_owner(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(text_file(TEXTS))
    for name in ("x/a.tar", "y/a.tar"):
        tokenize_files(tmp_path / "a.txt", tmp_path / name)
    assert (tmp_path / "x/a.tar").read_bytes() == (tmp_path / "y/a.tar").read_bytes()
    with tarfile.open(tmp_path / "x/a.tar") as archive:
        assert {(one.mtime, one.uid, one.gid, one.uname, one.gname) for one in archive} == {(0, 0, 0, "", "")}
        assert json.loads(archive.pax_headers["comment"])["cliptok"]["counts"]["texts"] == 7


@pytest.mark.parametrize("format", ["arrow", "tar"])
def test_resumed_and_checked(format: Any, tmp_path: Path) -> None:
    folder, out, pick = tmp_path / "in", tmp_path / "out", random.Random(0)
    folder.mkdir()
    for name in ("a", "b", "empty"):
        (folder / f"{name}.txt").write_bytes(
            text_file([f"{name} {number}" for number in range(50 * (name != "empty"))])
        )
    tokenize_files(folder, out, format=format)
    whole = tree(out)
    assert (tokenize_files(folder, out, format=format, resume=True).finished_before, check_outputs(out)) == (3, [])
    assert tokenize_files(folder, out, format=format, max_length=9, resume=True).made_anew == 3
    assert tokenize_files(folder, out, format=format, resume=True).made_anew == 3
    path = out / f"a.{format}"
    content = path.read_bytes()
    for size in (0, 5, 600, len(content) // 2, len(content) - 512, len(content) - 1):
        path.write_bytes(content[:size])
        report = tokenize_files(folder, out, format=format, resume=True)
        assert (report.finished_before, report.made_anew, tree(out) == whole) == (2, 1, True), size
    for place in (0, 8, len(content) - 1, len(content) - 12, *(pick.randrange(len(content)) for _ in range(60))):
        damaged = bytearray(content)
        damaged[place] ^= 1 << pick.randrange(8)
        path.write_bytes(damaged)
        (found,) = check_outputs(out)
        assert found.path == str(path), place
    assert tokenize_files(folder, out, format=format, resume=True, check=True).made_anew == 1
    assert tree(out) == whole


def test_embeddings(model: Path, tmp_path: Path) -> None:
    from cliptok.batch import embed_files

    path = parquet(tmp_path / "a.parquet", TEXTS)
    for output in ("text_embeds", "hidden"):
        name = "last_hidden_state" if output == "hidden" else output
        embed_files(path, tmp_path / "o.npy", model=model, column="caption", output=output)  # type: ignore[arg-type]
        wanted = np.load(tmp_path / "o.npy")
        embed_files(path, tmp_path / "o.tar", model=model, column="caption", output=output)  # type: ignore[arg-type]
        found = np.stack([array(sample[f"{name}.npy"]) for sample in samples(tmp_path / "o.tar")])
        assert found.dtype == np.float32 and np.array_equal(found, wanted)
        embed_files(path, tmp_path / "o.arrow", model=model, column="caption", output=output)  # type: ignore[arg-type]
        with pa.ipc.open_file(tmp_path / "o.arrow") as file:
            assert file.read_all().column(0).to_pylist() == wanted.tolist()
