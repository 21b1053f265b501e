"""Inputs that end the process, fill the memory or take hours in a library below: refused, or read as they are."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cliptok.batch import BadInputError, tokenize_files
from cliptok.batch.reading import chunks, delimited, lines, reader
from cliptok.batch.writing.thrift_compact import STRUCT, read_struct, write_struct
from cliptok.cli import main
from support.made import expected, ids_in, json_lines, parquet

LINE = b'{"caption": "a cat"}\n'
DEEP = b'{"caption": "a cat", "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}\n"


def read(path: Path, content: bytes, **options: Any) -> list[list[int]]:
    """The ids of a file with the content."""
    path.write_bytes(content)
    if path.suffix != ".txt":
        options = {"column": "caption", **options}
    tokenize_files(path, path.parent / "ids.parquet", **options)
    return ids_in(path.parent / "ids.parquet")


@pytest.mark.parametrize(
    ("content", "keep", "message"),
    [
        (b"null\n", (), "line 1 is no JSON object"),
        (b"\n \t null\n" + LINE, (), "line 2 is no JSON object"),
        (LINE * 60_000 + b"null\n" + LINE, (), "line 60001 is no JSON object"),
        (LINE + DEEP, ["x"], "line 2 is nested too deeply to keep fields of it; at most 100 brackets"),
        (DEEP, ["*"], "line 1 is nested too deeply"),
    ],
)
def test_what_ends_a_process_in_arrow(content: bytes, keep: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=f"a.jsonl: {message}"):
        read(tmp_path / "a.jsonl", content, keep=keep)


def test_depth_that_is_none(tmp_path: Path) -> None:
    """Brackets in strings, and one behind another."""
    strings = json.dumps({"caption": "a cat", "x": '[[\\"[' * 200}).encode() + b"\n"
    rows = json.dumps({"caption": "a dog", "y": [[1]] * 300}).encode() + b"\n"
    found = read(tmp_path / "a.jsonl", strings + rows, keep=["x", "y"])
    assert found == expected(["a cat", "a dog"])
    assert read(tmp_path / "a.jsonl", LINE + DEEP) == expected(["a cat", "a cat"])  # What is not kept has no type.


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"caption": "a", "caption": "b"}', "line 50001: .* specified twice"),
        (b'{"caption": "a", "x": "\\ud800"}', "line 50001: .* surrogate pair"),
        (b'{"caption": "a", "x": 1e999}', "line 50001: .* too big"),
        (b'{"caption": "a"} {"caption": "b"}', "line 50001 is no JSON: Extra data"),
        (b'{"caption": ' + b"9" * 5000 + b"}", "line 50001: the field 'caption' is of type int"),
    ],
)
def test_the_line_is_named_that_arrow_refuses(line: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=message):
        read(tmp_path / "a.jsonl", LINE * 50_000 + line + b"\n" + LINE)


def test_lines_of_any_length(tmp_path: Path) -> None:
    texts = ["a cat", "word " * 1_000_000, "a dog"]
    assert read(tmp_path / "a.jsonl", json_lines(texts)) == expected(texts)
    assert read(tmp_path / "a.jsonl", json_lines(texts), keep=["id", "more"]) == expected(texts)
    assert read(tmp_path / "a.txt", "\n".join(texts).encode()) == expected(texts)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_line_that_never_ends(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 1000)
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 4000)
    with pytest.raises(BadInputError, match="the line that begins behind byte 21 has more than 4,000 bytes"):
        read(tmp_path / name, LINE + b"x" * 6000)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
def test_wide_characters(encoding: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=f"this is {encoding[:6].upper()}, not text; convert it to UTF-8"):
        read(tmp_path / name, "caption,x\na cat,1\n".encode(encoding))


@pytest.mark.parametrize("content", [b"caption,x", b'"cap\ntion",caption', b"caption,x\r", b"caption\n"])
def test_nothing_but_a_header(content: bytes, tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", content) == []


def test_rows_and_names_that_are_too_long(tmp_path: Path) -> None:
    long = b"w" * (2 * delimited.MAX_ROW_BYTES)
    with pytest.raises(BadInputError, match="behind row 1 there is a row of more than 4,194,304 bytes"):
        read(tmp_path / "a.csv", b"caption\na cat\n" + long + b"\n" + long + b"\n")
    with pytest.raises(BadInputError, match="the first row has 400,009 bytes, too many for names"):
        read(tmp_path / "a.csv", b"w" * 400_000 + b",caption\na,a cat\n")
    names = ",".join(f"c{number}" for number in range(20_000)).encode()
    with pytest.raises(BadInputError, match="there are c0, c1, c2, c3, c4, c5, c6, c7 and 19992 more"):
        read(tmp_path / "a.csv", names + b"\n" + b"," * 19_999 + b"\n")


def test_errors_are_fit_for_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_bytes(b"cap\0tion,\x1b[31mx\na cat,1\n")
    assert main(["count", str(tmp_path / "a.csv"), "--column", "caption"]) == 2
    assert "there are cap\\x00tion, \\x1b[31mx" in capsys.readouterr().err
    assert main(["count", "x/" * 3000]) == 2
    error = capsys.readouterr().err
    assert error.endswith("x: File name too long\n") and "Errno" not in error


def test_names_in_a_schema_that_are_not_utf8(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, pa.schema({"caption": pa.string()})):
        pass
    content = sink.getvalue().replace(b"caption", b"\xffaption")
    with pytest.raises(BadInputError, match=r"a\.arrow: its schema: a name in it is not UTF-8"):
        read(tmp_path / "a.arrow", content)


def test_many_rows_of_nothing() -> None:
    """A chunk looked at all rows behind it: 250 times those of a block."""
    looked = 0
    bytes_of_rows = chunks._bytes_of_rows

    def counting(column: pa.ChunkedArray) -> Any:
        nonlocal looked
        looked += len(column)
        return bytes_of_rows(column)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_bytes_of_rows", counting)
        patch.setattr(chunks, "BYTES", 1000)
        made = chunks.Chunks(10)
        sizes = [len(one) for _ in range(3) for one in made.add(pa.table({"a": [""] * 1000}))]
    assert sizes == [10] * 300 and looked <= 3010


SHARED = ["a cat", None, "w " * 5000, "a dog"]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "views"])
def test_texts_that_are_there_once_for_many_rows(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte that 30,000 rows share would take 30 GB where all were decoded at once."""
    keys = pa.array([0, 1, 2, 3, 2, 2, None] * 3000, pa.int8())
    shared: Any = pa.DictionaryArray.from_arrays(keys, SHARED)
    path, sizes = tmp_path / "a.arrow", []
    if kind == "parquet":
        parquet(path := tmp_path / "a.parquet", shared.dictionary_decode())
    else:
        if kind == "views":
            shared = shared.dictionary_decode().cast(pa.string_view())
        with pa.ipc.new_file(path, pa.schema({"caption": shared.type})) as file:
            file.write_table(pa.table({"caption": shared}))
    clean = reader.clean

    def watched(table: pa.Table, *arguments: Any) -> pa.Table:
        found = clean(table, *arguments)
        sizes.append(found.nbytes)
        return found

    monkeypatch.setattr(reader, "clean", watched)
    monkeypatch.setattr(chunks, "BYTES", 1 << 18)
    tokenize_files(path, tmp_path / "ids.parquet", column="caption", on_null="empty")
    cycle = expected([SHARED[key] or "" if key is not None else "" for key in keys.to_pylist()[:7]])
    assert ids_in(tmp_path / "ids.parquet") == cycle * 3000
    assert max(sizes) < 1 << 20 < sum(sizes)


def test_encrypted_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for the metadata of one, Arrow ends the process. The footer can be read, and is signed."""
    content = parquet(path := tmp_path / "a.parquet", ["a cat"]).read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    footer = read_struct(content[-8 - size : -8])
    nothing: Any = (STRUCT, {})
    _, (_, [group]) = footer[4]
    _, (_, [*_, chunk]) = group[1]
    chunk[8] = (STRUCT, {1: nothing})
    footer[8] = (STRUCT, {1: nothing})
    signed = write_struct(footer) + bytes(28)
    path.write_bytes(content[: -8 - size] + signed + len(signed).to_bytes(4, "little") + b"PAR1")
    assert pq.read_schema(path).names == ["id", "caption"]
    assert main(["count", str(path), "--column", "caption"]) == 2
    assert "a.parquet: its columns are encrypted (id, caption); write it anew" in capsys.readouterr().err
