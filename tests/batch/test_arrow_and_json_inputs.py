"""Arrow files and streams, columns of nulls, and captions in the JSON files of an archive."""

import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cliptok.batch import BadInputError, Tokenize, tokenize_files
from cliptok.cli import main
from support.made import TEXTS, expected, ids_in

COLUMNS = {"id": range(7), "caption": TEXTS, "lists": [["a", "b"], [], None, ["c"], [None], ["d"], ["e"]]}


def arrow_file(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=3)
    return bytes(sink.getvalue())


def arrow_stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=3)
    return bytes(sink.getvalue())


WRITERS = [arrow_file, arrow_stream]


def run(path: Path, **options: Any) -> tuple[list[list[int]], dict[str, list[Any]]]:
    """The ids, and the other columns."""
    out = path.parent / "out" / "ids.parquet"
    tokenize_files(path, out, **options)
    table = pq.read_table(out)
    return ids_in(out), {name: table.column(name).to_pylist() for name in table.column_names[1:]}


@pytest.mark.parametrize("write", WRITERS)
def test_arrow(write: Callable[..., bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    kinds = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int8(), pa.string())]
    for kind in kinds:
        captions = pa.array(TEXTS, pa.string() if pa.types.is_dictionary(kind) else kind)
        path.write_bytes(write(pa.table({**COLUMNS, "caption": captions.cast(kind)})))
        assert run(path, column="caption", keep="id") == (expected(TEXTS), {"id": list(range(7))}), kind
    content = write(pa.table(COLUMNS), compression="zstd")
    path.write_bytes(content)
    assert run(path, column="caption", keep="*")[1] == {"id": list(range(7)), "lists": COLUMNS["lists"]}
    found, kept = run(path, column="lists", captions="all", on_null="skip", keep="id")
    assert (found, kept) == (expected(["a", "b", "c", "d", "e"]), {"id": [0, 0, 3, 5, 6]})
    (tmp_path / "b.arrow.gz").write_bytes(gzip.compress(content))
    assert run(tmp_path / "b.arrow.gz", column="caption")[0] == expected(TEXTS)
    (tmp_path / "hf").write_bytes(content)
    assert run(tmp_path / "hf", column="caption", input_format="arrow")[0] == expected(TEXTS)
    for column, message in (("id", "is int64, not strings; columns of strings are caption"), ("x", "is no column")):
        with pytest.raises(BadInputError, match=message):
            run(path, column=column)
    assert main(["count", str(path)]) == 0  # Only one column has strings.


@pytest.mark.parametrize("write", WRITERS)
def test_arrow_that_was_truncated_or_damaged(write: Callable[..., bytes], tmp_path: Path) -> None:
    content = write(pa.table(COLUMNS))
    path, pick = tmp_path / "a.arrow", random.Random(0)
    for size in (
        *range(0, 24, 3),
        *(pick.randrange(len(content)) for _ in range(20)),
        *range(len(content) - 24, len(content), 3),
    ):
        path.write_bytes(content[:size])
        with pytest.raises(BadInputError, match=r"a\.arrow: "):
            run(path, column="caption", on_null="empty")
    path.write_bytes(content + content)
    with pytest.raises(BadInputError, match=r"behind row 7 .* bytes follow"):
        run(path, column="caption")
    for _ in range(60):
        damaged = bytearray(content)
        damaged[pick.randrange(len(content))] ^= 1 << pick.randrange(8)
        path.write_bytes(damaged)
        try:
            found, kept = run(path, column="caption", on_null="skip", on_undecodable="replace", keep=["id", "lists"])
        except BadInputError:
            continue
        assert len(found) == len(kept["id"])  # A damaged letter: there are no checksums.


def test_columns_of_nulls(tmp_path: Path) -> None:
    table = pa.table(
        {"id": range(3), "caption": pa.nulls(3), "lists": pa.array([[None], [], None], pa.list_(pa.null()))}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a.arrow").write_bytes(arrow_file(table))
    for path in (tmp_path / "a.parquet", tmp_path / "a.arrow"):
        with pytest.raises(BadInputError, match="row 1 has no text in 'caption'"):
            run(path, column="caption")
        assert run(path, column="caption", on_null="empty", keep="id") == (expected([""] * 3), {"id": [0, 1, 2]})
        assert run(path, column="caption", on_null="skip") == ([], {})
        for column in ("caption", "lists"):
            assert run(path, column=column, captions="all", on_null="empty")[0] == expected([""] * 3)
    step = Tokenize("caption", on_null="empty")
    assert step(table).column("input_ids").to_pylist() == expected([""] * 3)
    assert len(step(table.slice(0, 0))) == 0


def samples(folder: Path, objects: list[Any], **extra: bytes) -> Path:
    """An archive with a .json of each object, or of raw bytes."""
    with tarfile.open(folder / "a.tar", "w") as archive:
        for number, found in enumerate(objects):
            content = found if isinstance(found, bytes) else json.dumps(found).encode()
            for extension, data in {"jpg": b"\xff" * number, "json": content, **extra}.items():
                member = tarfile.TarInfo(f"d/{number:04}.{extension}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return folder / "a.tar"


def test_captions_in_json_members(tmp_path: Path) -> None:
    objects = [
        {"caption": "a cat", "url": "http://a", "width": 3, "more": {"Text": "x", "all": ["p", "q"]}},
        {"caption": None, "url": None},
        {"url": "ü", "more": {"Text": "y", "all": []}},
    ]
    path = samples(tmp_path, objects)
    found, kept = run(path, column="json.caption", on_null="empty", keep=["__key__", "json.url", "json.more", "json"])
    assert found == expected(["a cat", "", ""])
    assert kept["__key__"] == ["d/0000", "d/0001", "d/0002"]
    assert kept["json.url"] == ["http://a", None, "ü"]
    assert [text and json.loads(text) for text in kept["json.more"]] == [objects[0]["more"], None, objects[2]["more"]]
    assert [json.loads(content) for content in kept["json"]] == objects
    assert run(path, column="json.more.Text", on_null="skip")[0] == expected(["x", "y"])
    lists = {"column": "json.more.all", "captions": "all", "on_null": "skip"}
    assert run(path, **lists, keep="__key__") == (expected(["p", "q"]), {"__key__": ["d/0000"] * 2})
    path = samples(tmp_path, objects, **{"json.caption": b"its own file"})
    assert run(path, column="json.caption")[0] == expected(["its own file"] * 3)


def test_json_members_that_are_wrong(tmp_path: Path) -> None:
    for objects, options, message in (
        ([{"caption": ["a"]}], {}, r"d/0000\.json: the field 'caption' is a list; choose .*--captions: first, all"),
        ([{"caption": 3}], {}, r"d/0000\.json: the field 'caption' is of type int; expected a string"),
        ([{"caption": "a"}], {"captions": "all"}, "of type str; expected a list of strings"),
        ([{"caption": ["a", 3]}], {"captions": "first"}, "has one of type int"),
        ([b"{"], {}, r"d/0000\.json is no JSON"),
        ([b"[1]"], {}, r"d/0000\.json is no JSON object"),
        ([b'{"caption": "\\ud800"}'], {}, "sample 1 is not UTF-8"),
        ([{"caption": "a"}], {"column": "txt", "captions": "all"}, "'txt' is none"),
    ):
        with pytest.raises(BadInputError, match=message):
            run(samples(tmp_path, objects), **{"column": "json.caption", **options})
    assert run(samples(tmp_path, [b'{"caption": "a\\ud800"}']), column="json.caption", on_undecodable="replace")[0]
